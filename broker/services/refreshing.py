"""Reading key sources anew: what changed takes effect at once, what is gone leaves no trace."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from broker.core.facts import RevisionRetired
from broker.core.key import Key
from broker.ports.clock import Clock
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import KeySource, SourceFault
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring, Refreshed
from broker.services.watching import Watching

RETIRE_AFTER_S = 10.0
"""A removed key's health outlives it by this: a file that is being rewritten looks empty for a
moment, and a quarantined key that comes back from that must still be quarantined."""


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
        health: HealthBook,
        watching: Watching,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._keyring = keyring
        self._health = health
        self._watching = watching
        self._journal = journal
        self._clock = clock
        self._lock = asyncio.Lock()
        self._gone: dict[tuple[str, str], tuple[Key, float]] = {}
        self.readings: dict[str, SourceReading] = {}

    async def refresh(self) -> list[SourceReading]:
        """Read every source once, one refresh at a time; faults are in the readings."""
        async with self._lock:
            return [await self._read(source) for source in self._sources]

    async def _read(self, source: KeySource) -> SourceReading:
        last = self.readings.get(source.name)
        try:
            snapshot = await source.load()
        except SourceUnavailableError as error:
            fault = SourceFault(source.name, str(error))
            nothing = Refreshed((), (), (), (fault,))
            read_at = last.read_at if last else None
            reading = SourceReading(source.name, read_at, nothing)
        else:
            refreshed = self._keyring.replace(source.name, snapshot)
            reading = SourceReading(source.name, self._clock.now(), refreshed)
            await self._follow_up(source.name, refreshed)
        self._tell_faults(reading, last)
        self.readings[source.name] = reading
        return reading

    async def _follow_up(self, source: str, refreshed: Refreshed) -> None:
        """Retire revisions that are gone and say what changed."""
        now = self._clock.now()
        rotated = [old for old, new in refreshed.changed if old.revision != new.revision]
        self._gone |= {(key.key_id, key.revision): (key, now) for key in refreshed.removed}
        await self._health.submit(self._retired(key) for key in [*rotated, *self._long_gone(now)])
        for key in refreshed.removed:
            self._watching.on_removed(key.provider, key.key_id, "")
        for key in rotated:
            self._watching.on_removed(key.provider, key.key_id, key.revision)
        for kind, keys in (
            ("key_added", refreshed.added),
            ("key_rotated", rotated),
            ("key_removed", refreshed.removed),
        ):
            for key in keys:
                message = f"{key.key_id}: {kind.removeprefix('key_')} in {source}"
                self._journal.record(kind, key.provider, now, message, key_id=key.key_id)

    def _long_gone(self, now: float) -> list[Key]:
        """Take the keys that were removed a while ago and did not come back."""
        self._gone = {
            name: entry for name, entry in self._gone.items() if not self._keyring.holds(*name)
        }
        due = [name for name, (_, since) in self._gone.items() if now - since >= RETIRE_AFTER_S]
        return [self._gone.pop(name)[0] for name in due]

    def _retired(self, key: Key) -> RevisionRetired:
        return RevisionRetired(
            fact_id=f"retired/{secrets.token_hex(8)}",
            provider=key.provider,
            replica=self._health.replica,
            key_id=key.key_id,
            revision=key.revision,
        )

    def _tell_faults(self, reading: SourceReading, last: SourceReading | None) -> None:
        """Say what is wrong with a source, once per fault."""
        known = set(last.refreshed.faults) if last else set()
        for fault in reading.refreshed.faults:
            if fault not in known:
                message = f"{fault.place}: {fault.message}"
                self._journal.record("source_faulty", "", self._clock.now(), message)
