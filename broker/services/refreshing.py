"""Reading key sources anew: what changed takes effect at once, what is gone leaves no trace."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.ports.clock import Clock
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import KeySource, SourceFault
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.orphans import Orphans
from broker.services.readings import Refreshed
from broker.services.retirement import RETIRE_AFTER_S
from broker.services.rotating import Rotating
from broker.services.watching import Watching

MAX_TOLD = 20
"""Faults of one reading that become events; status shows them all."""


@dataclass(frozen=True, slots=True)
class SourceReading:
    """How one source's last reading went; `read_at` is the last good one, in epoch seconds."""

    source: str
    read_at: float | None
    refreshed: Refreshed


class Refreshing:
    """Reads the sources; what cannot be read stays as it was."""

    def __init__(
        self,
        sources: Sequence[KeySource],
        keyring: Keyring,
        watching: Watching,
        rotating: Rotating,
        orphans: Orphans,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._keyring = keyring
        self._watching = watching
        self._rotating = rotating
        self._orphans = orphans
        self._journal = journal
        self._clock = clock
        self._lock = asyncio.Lock()
        self._gone: dict[str, tuple[HeldKey, float]] = {}
        self.readings: dict[str, SourceReading] = {}

    async def refresh(self) -> list[SourceReading]:
        """Read every source once, one refresh at a time; faults are in the readings.

        The first one also brings back what worked last, before anything is leased.
        """
        async with self._lock:
            readings = [await self._read(source) for source in self._sources]
            await self._retire_gone()
            has_faults = any(reading.refreshed.faults for reading in readings)
            await self._rotating.keep(is_complete=not has_faults)
            if not has_faults and not self._gone:
                await self._orphans.retire(self._clock.now())
            return readings

    async def _read(self, source: KeySource) -> SourceReading:
        last = self.readings.get(source.name)
        try:
            snapshot = await source.load()
        except SourceUnavailableError as error:
            nothing = Refreshed(faults=(SourceFault(source.name, str(error)),))
            reading = SourceReading(source.name, last.read_at if last else None, nothing)
        else:
            refreshed = self._keyring.replace(source.name, snapshot)
            reading = SourceReading(source.name, self._clock.now(), refreshed)
            await self._follow_up(source.name, refreshed, is_first=last is None)
        self._tell_faults(reading, last)
        self.readings[source.name] = reading
        return reading

    async def _follow_up(self, source: str, refreshed: Refreshed, *, is_first: bool) -> None:
        """Have new secrets proved, let go of what is gone, say what changed.

        What the first reading finds is counted: each key by name would be told at every start.
        """
        now = self._clock.now()
        await self._rotating.retire(refreshed.dropped)
        for held in refreshed.gone:
            self._leave(held, now)
        for key in refreshed.added:
            self._come_back(key)
        rotated = [new for old, new in refreshed.changed if old.revision != new.revision]
        for key in refreshed.removed:
            self._watching.on_removed(key.provider, key.key_id, "")
        if is_first:
            number = len(refreshed.added)
            message = f"{source}: started with {'one key' if number == 1 else f'{number} keys'}"
            self._journal.record("source_read", "", now, message)
        for kind, keys in (
            ("key_added", () if is_first else refreshed.added),
            ("key_rotated", rotated),
            ("key_removed", refreshed.removed),
        ):
            for key in keys:
                message = f"{key.key_id}: {kind.removeprefix('key_')} in {source}"
                self._journal.record(kind, key.provider, now, message, key_id=key.key_id)
        for key in rotated:
            self._rotating.noticed(key.key_id)

    def _leave(self, held: HeldKey, now: float) -> None:
        self._gone[held.key.key_id] = held, now

    def _come_back(self, key: Key) -> None:
        """A key that was removed a moment ago goes on from the revision that was in use."""
        held, _ = self._gone.pop(key.key_id, (None, 0.0))
        if held is not None and held.key.provider == key.provider:
            self._keyring.take(held.declaring(key))
            self._rotating.noticed(key.key_id)

    async def _retire_gone(self) -> None:
        """Forget the keys that were removed a while ago and did not come back."""
        now = self._clock.now()
        due = [key_id for key_id, (_, at) in self._gone.items() if now - at >= RETIRE_AFTER_S]
        for key_id in due:
            held, _ = self._gone.pop(key_id)
            await self._rotating.retire(revision.key for revision in held.revisions)

    def _tell_faults(self, reading: SourceReading, last: SourceReading | None) -> None:
        """Say what is wrong with a source, once per fault, and that nothing is any more."""
        known = set(last.refreshed.faults) if last else set()
        if known and not reading.refreshed.faults:
            message = f"{reading.source}: every fault is mended"
            self._journal.record("source_mended", "", self._clock.now(), message)
        news = [fault for fault in reading.refreshed.faults if fault not in known]
        messages = [f"{fault.place}: {fault.message}" for fault in news[:MAX_TOLD]]
        if len(news) > MAX_TOLD:
            messages.append(f"{reading.source}: {len(news) - MAX_TOLD} more faults")
        for message in messages:
            self._journal.record("source_faulty", "", self._clock.now(), message)
