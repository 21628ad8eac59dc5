"""Which brokers there are on a database: each says so every few seconds, and when it ends."""

from collections.abc import Callable, Collection

import structlog

from broker.ports.agreements import Agreements, Attendance
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError

BEAT_S = 5.0
"""How often a broker says that it is there."""

PRESENT_S = 15.0
"""Who has not said so for longer counts as gone: it was killed, or is cut off."""

log = structlog.get_logger("keybroker")


class Attending:
    """This broker's attendance, and what it knows of the others'."""

    def __init__(
        self,
        agreements: Agreements,
        clock: Clock,
        replica: str,
        sealing_keys: Callable[[], Collection[str]],
    ) -> None:
        self._agreements = agreements
        self._clock = clock
        self._replica = replica
        self._sealing_keys = sealing_keys
        self._said_at = float("-inf")

    async def say(self) -> None:
        """Say that this broker is there, and what it can open. Raises StoreUnavailableError."""
        now = self._clock.now()
        await self._agreements.attend(
            Attendance(self._replica, now, frozenset(self._sealing_keys()))
        )
        self._said_at = now

    async def on_tick(self) -> None:
        """Say so again when it is time; where that fails, the next tick does."""
        if self._clock.now() >= self._said_at + BEAT_S:
            try:
                await self.say()
            except StoreUnavailableError:
                return  # others will take it as gone, and see it come back

    async def present(self) -> Collection[Attendance]:
        """The brokers that are there, by name. Raises StoreUnavailableError."""
        return await self._agreements.present(self._clock.now() - PRESENT_S)

    async def close(self) -> None:
        """Say that this broker has ended, if it said that it began, and anybody hears it."""
        if self._said_at == float("-inf"):
            return
        try:
            await self._agreements.leave(self._replica)
        except StoreUnavailableError:
            log.info("left_unheard", replica=self._replica)
