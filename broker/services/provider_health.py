"""The health of one provider on this replica: what the log shares, and what is nobody else's."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from broker.core.circuit import Circuit
from broker.core.fold import Change
from broker.core.health import Health
from broker.core.ramp import RampLedger
from broker.core.replica import ReplicaHealth
from broker.core.scope import Scope
from broker.core.words import Family
from broker.services.snapshots import ProviderSnapshots

_Name: TypeAlias = tuple[Scope, Family]


class ProviderHealth:
    """What one provider's decisions read, and what only this replica needs to know."""

    def __init__(self, snapshots: ProviderSnapshots) -> None:
        self.replica = ReplicaHealth()
        self.snapshots = snapshots
        self.strangers = Health()
        self.ramps = RampLedger()
        self._stranger_order: OrderedDict[_Name, None] = OrderedDict()

    @property
    def views(self) -> tuple[Health, Health]:
        """Everything that decisions have to read."""
        return self.replica.view, self.strangers

    def note_strangers(self, changes: Iterable[Change]) -> None:
        """Remember which strangers' circuits moved last."""
        for change in changes:
            name = (change.scope, change.family)
            self._stranger_order.pop(name, None)
            if change.after is not None:
                self._stranger_order[name] = None

    def forget_strangers(self, max_kept: int, now: float) -> Iterator[Change]:
        """Keep strangers few: the circuits that go are closed, as far as anybody here knows."""
        while len(self._stranger_order) > max_kept:
            (scope, family), _ = self._stranger_order.popitem(last=False)
            before = self.strangers.families(scope).get(family)
            if before is not None:
                self.strangers.drop(scope, family)
                yield Change(scope, family, before, None, now, "forgotten")

    def sweep_strangers(self, now: float) -> list[Circuit]:
        """Forget what is healed; return the records that went."""
        gone = self.strangers.sweep(now)
        for record in gone:
            self._stranger_order.pop((record.scope, record.family), None)
        return gone
