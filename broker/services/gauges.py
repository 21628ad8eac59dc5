"""How things stand, as figures to draw curves of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.gauges import StatusGauges
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.refreshing import Refreshing
from broker.services.standing import KeyState, Standings


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
        )

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
