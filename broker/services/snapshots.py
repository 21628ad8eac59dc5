"""Snapshots of health in the log, so that a restart folds little and the log can be trimmed."""

import asyncio

from broker.core.replica import Logged, ReplicaHealth
from broker.core.snapshot import Snapshot, take_snapshot
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.fact_log import FactLog

SNAPSHOT_EVERY = 1000
"""Facts of a provider between its snapshots: a restart folds some thousands in no time."""


class ProviderSnapshots:
    """When one provider's health is worth a snapshot; one that fails is tried again later."""

    def __init__(self, provider: str, log: FactLog, clock: Clock) -> None:
        self._provider = provider
        self._log = log
        self._clock = clock
        self._saved_position = 0
        self._logged_at = 0.0
        self._unsaved = 0
        self._saving: asyncio.Task[None] | None = None

    def began_with(self, snapshot: Snapshot) -> None:
        """Health was restored from this one."""
        self._saved_position = snapshot.position
        self._logged_at = snapshot.at

    def note(self, logged: Logged, replica: ReplicaHealth) -> None:
        """A fact was folded; every SNAPSHOT_EVERY of them a snapshot is written, beside."""
        self._logged_at = max(self._logged_at, logged.at)
        self._unsaved += 1
        is_busy = self._saving is not None and not self._saving.done()
        if self._unsaved >= SNAPSHOT_EVERY and not is_busy:
            self._unsaved = 0
            self._saving = asyncio.get_running_loop().create_task(self._save(self._take(replica)))

    async def close(self, replica: ReplicaHealth) -> None:
        """Write a last snapshot, if there is news."""
        if self._saving is not None:
            await asyncio.wait({self._saving})
        if replica.position > self._saved_position:
            await self._save(self._take(replica))

    def _take(self, replica: ReplicaHealth) -> Snapshot:
        return take_snapshot(self._provider, replica, max(self._clock.now(), self._logged_at))

    async def _save(self, snapshot: Snapshot) -> None:
        try:
            await self._log.save_snapshot(snapshot)
        except StoreUnavailableError:
            return  # nothing is lost: the facts are still in the log
        self._saved_position = snapshot.position
