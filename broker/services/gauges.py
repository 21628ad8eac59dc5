"""How things stand, as figures to draw curves of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.core.key import Key
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.gauges import StatusGauges
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.refreshing import Refreshing
from broker.services.source_reading import SourceReading
from broker.services.standing import KeyState, Standings


class SourceState(StrEnum):
    """How a source of keys is, from the best to the worst."""

    READ = "read"
    FAULTY = "faulty"
    COPY = "copy"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Gauges:
    """Takes the figures from what this replica knows; waits for nobody."""

    keyring: Keyring
    health: HealthBook
    marks: Marks
    refreshing: Refreshing
    clock: Clock

    def take(self) -> StatusGauges:
        """The figures at this moment."""
        now = self.clock.now()
        standings = Standings(self.keyring, self.health, self.marks, now)
        keys = self.keyring.keys()
        states = {(key.provider, key.key_id): standings.state(key) for key in keys}
        system = [key for key in keys if key.provenance is Provenance.SYSTEM]
        readings = self.refreshing.readings.values()
        return StatusGauges(
            states=tuple(KeyState),
            pool_keys=self._pool_keys(states.items()),
            key_states={name: states[name] for name in ((k.provider, k.key_id) for k in system)},
            pending_facts=self.health.pending_facts,
            is_store_up=not self.health.is_cut_off(now),
            source_ages_s={
                reading.source: now - reading.read_at
                for reading in readings
                if reading.read_at is not None
            },
            all_source_states=tuple(SourceState),
            source_states={
                reading.source: self._source_state(reading, now) for reading in readings
            },
            stale_keys=self._stale_keys(system),
        )

    def _source_state(self, reading: SourceReading, now: float) -> SourceState:
        if self.refreshing.staleness.is_stale(reading, now):
            return SourceState.STALE
        if reading.is_from_copy:
            return SourceState.COPY
        return SourceState.FAULTY if reading.refreshed.faults else SourceState.READ

    def _stale_keys(self, keys: Iterable[Key]) -> Mapping[str, int]:
        counts = dict.fromkeys(self.keyring.used_providers, 0)
        for key in keys:
            counts[key.provider] += self.keyring.is_stale(key.key_id)
        return counts

    def _pool_keys(
        self, states: Iterable[tuple[tuple[str, str], KeyState]]
    ) -> Mapping[tuple[str, str], int]:
        """System keys by provider and state; one without keys is told as 0, lest a curve break off.

        Of tenants' keys only those in use are known, and their number says nothing.
        """
        names = self.keyring.used_providers
        counts = {(name, state.value): 0 for name in names for state in KeyState}
        for (provider, _), state in states:
            counts[provider, state.value] += 1
        return counts
