"""Bounded staleness: keys that their source has not confirmed for too long are not leased.

Leases that are out live on and can be renewed. Nothing that is known of the keys is forgotten, so
that all is as before when the source is read again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.source_reading import SourceReading
from broker.services.spans import in_words

MAX_NAMED = 20
"""Keys that one event names; it counts the others."""


@dataclass(slots=True)
class Staleness:
    """Withholds what is stale, and says so; `max_s` is how long what a source said is believed."""

    keyring: Keyring
    journal: Journal
    max_s: float
    since: dict[str, float] = field(default_factory=dict)

    def is_stale(self, reading: SourceReading, now: float) -> bool:
        """Is what a source said too old?"""
        return reading.read_at is not None and now - reading.read_at >= self.max_s

    def expires_at(self, reading: SourceReading) -> float | None:
        """When it becomes too old, unless the source is read before."""
        return None if reading.read_at is None else reading.read_at + self.max_s

    def judge(self, readings: Iterable[SourceReading], now: float) -> None:
        """Withhold the keys that are stale now, and no others."""
        found = {reading: self._keys(reading, now) for reading in readings}
        self.keyring.withhold(frozenset[str]().union(*found.values()))
        for reading, key_ids in found.items():
            source = reading.source
            if key_ids and source not in self.since:
                self.since[source] = now
                self._tell_stale(source, sorted(key_ids), now)
            elif not key_ids and source in self.since:
                self._tell_back(source, now - self.since.pop(source), now)

    def _keys(self, reading: SourceReading, now: float) -> frozenset[str]:
        """The keys of a source that are stale: all, or those that it has not given since."""
        if self.is_stale(reading, now):
            keys = (key.key_id for key in self.keyring.keys(""))
            return frozenset(
                name for name in keys if self.keyring.source_of(name) == reading.source
            )
        unconfirmed = reading.unconfirmed.items()
        return frozenset(key_id for key_id, at in unconfirmed if now - at >= self.max_s)

    def _tell_stale(self, source: str, key_ids: list[str], now: float) -> None:
        names = ", ".join(key_ids[:MAX_NAMED])
        more = f" and {len(key_ids) - MAX_NAMED} more" if len(key_ids) > MAX_NAMED else ""
        message = (
            f"{source}: has not confirmed these keys for {in_words(self.max_s)}, so that they are"
            f" not leased until it does: {names}{more}"
        )
        attributes = {"source": source, "keys": str(len(key_ids))}
        self.journal.record("source_stale", "", now, message, attributes=attributes)

    def _tell_back(self, source: str, stale_s: float, now: float) -> None:
        message = f"{source}: its keys are leased again, after {in_words(stale_s)}"
        attributes = {"source": source, "stale_s": f"{stale_s:.0f}"}
        self.journal.record("source_back", "", now, message, attributes=attributes)
