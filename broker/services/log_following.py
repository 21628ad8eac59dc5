"""Following the log of one provider: from its last snapshot on, anew where it left us behind."""

import asyncio
from collections.abc import Callable

import structlog

from broker.core.fold import Change
from broker.core.replica import ReplicaHealth
from broker.core.snapshot import restore, restored_changes
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from broker.ports.fact_log import Deliver, FactLog
from broker.services.provider_health import ProviderHealth

TellView = Callable[[str, list[Change], float], None]
"""Told of what decisions read anew of a provider, and when that was."""

log = structlog.get_logger("keybroker")


class LogFollowing:
    """Keeps one provider's health at its log.

    A replica that slept while entries were trimmed goes on from the newest snapshot: what it
    confirmed itself is no part of any log any more, what it has pending stays so.
    """

    def __init__(
        self,
        provider: str,
        health: ProviderHealth,
        log: FactLog,
        clock: Clock,
        deliver: Deliver,
        tell_view: TellView,
    ) -> None:
        self._provider = provider
        self._health = health
        self._log = log
        self._clock = clock
        self._deliver = deliver
        self._tell_view = tell_view
        self._stop: Callable[[], None] = _nothing
        self._is_lost = False
        self._catching_up: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Restore the newest snapshot, and fold what was logged since.

        Raises StoreUnavailableError and StoreUnusableError.
        """
        snapshot = await self._log.snapshot(self._provider)
        replica, before, now = self._health.replica, self._health.replica.view, self._clock.now()
        self._is_lost = False
        if snapshot is not None:
            replica.begin_anew(restore(snapshot), snapshot.at)
            self._health.snapshots.began_with(snapshot)
        elif replica.position:
            replica.begin_anew(ReplicaHealth(), now)
        changes = restored_changes(before, replica.view, snapshot.at if snapshot else now)
        self._tell_view(self._provider, changes, now)
        follow = self._log.follow
        self._stop = await follow(self._provider, replica.position, self._deliver, self._lost)

    def catch_up(self) -> None:
        """Begin anew, if the log left us behind and that did not work yet."""
        is_busy = self._catching_up is not None and not self._catching_up.done()
        if self._is_lost and not is_busy:
            self._catching_up = asyncio.get_running_loop().create_task(self._begin_anew())

    def close(self) -> None:
        """Follow no more."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._stop()

    def _lost(self) -> None:
        log.warning("facts_missed", provider=self._provider, position=self._health.replica.position)
        self._is_lost = True
        self.catch_up()

    async def _begin_anew(self) -> None:
        try:
            await self.begin()
        except (StoreUnavailableError, StoreUnusableError):
            self._is_lost = True  # the next tick tries again


def _nothing() -> None:
    """Before it follows."""
