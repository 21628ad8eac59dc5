"""What other replicas on the same log adopted and let go, as far as it concerns this one.

A replica that reads a new secret first proves it for all. One that lets a revision go clears its
health for all, though others may still lease it: what was dead must stay dead for them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from broker.core.facts import CallFailed, Fact, RevisionAdopted, RevisionRetired
from broker.core.fold import Change
from broker.core.key import Key
from broker.core.words import Evidence, Family, Provenance, ScopeKind, State
from broker.ports.clock import Clock
from broker.services.health import HealthBook
from broker.services.keyring import Keyring

FOLLOW_S = 120.0
"""How long the adoption of a revision that is not here yet is remembered."""

CHASE_S = 10.0
"""How long such a revision is looked for each second: a source may be a moment behind itself."""

_OBJECTION = "objection/"

_DEAD = frozenset({State.OPEN, State.HALF_OPEN})


def is_objection(fact: Fact) -> bool:
    """Does a fact only say again what was known?"""
    return fact.fact_id.startswith(_OBJECTION)


@dataclass(slots=True)
class Elsewhere:
    """Remembers adoptions since this replica `began`, and objects to what revives the dead."""

    keyring: Keyring
    health: HealthBook
    clock: Clock
    began: float
    adopted: dict[tuple[str, str], tuple[RevisionAdopted, float]] = field(default_factory=dict)

    def has_adopted(self, fact: RevisionAdopted, at: float) -> bool:
        """Remember an adoption; False for one of a time before this replica."""
        now = self.clock.now()
        self.adopted = {
            name: known
            for name, known in self.adopted.items()
            if now < known[1] and name[0] != fact.key_id
        }
        if at < self.began:
            return False
        self.adopted[fact.key_id, fact.revision] = fact, now + FOLLOW_S
        return True

    def has_served(self, key_id: str, revision: str) -> bool:
        """Did another replica adopt this very revision lately?"""
        _, until = self.adopted.get((key_id, revision), (None, 0.0))
        return self.clock.now() < until

    def has_proved(self, key: Key) -> bool:
        """Did it, and had the provider accepted it there?"""
        fact, until = self.adopted.get((key.key_id, key.revision), (None, 0.0))
        return fact is not None and fact.proven and self.clock.now() < until

    def chased(self) -> Iterator[Key]:
        """The keys of which another replica leases a revision since a moment that is not here."""
        now = self.clock.now()
        for (key_id, revision), (_, until) in self.adopted.items():
            held = self.keyring.held(key_id)
            is_new = now < until - FOLLOW_S + CHASE_S
            if is_new and held is not None and held.find(revision) is None:
                yield held.key

    def objections(self, fact: RevisionRetired, changes: Iterable[Change]) -> Iterator[CallFailed]:
        """What was known against a system key's revision that is still here, said again.

        A probe answers it at once, and contradicts nobody's report of a model. All replicas say it
        with one voice; the last one to let the revision go ends it. Of tenants' keys the database
        tells everybody what is left.
        """
        held = self.keyring.held(fact.key_id)
        found = held.find(fact.revision) if held else None
        if found is None or found.is_draining or found.key.provenance is not Provenance.SYSTEM:
            return
        for change in changes:
            record = change.before
            if change.family is not Family.CREDENTIAL or change.scope.kind is not ScopeKind.KEY:
                continue
            if record is not None and record.standing(change.at).state in _DEAD:
                yield CallFailed(
                    fact_id=f"{_OBJECTION}{fact.fact_id}",
                    provider=fact.provider,
                    replica=self.health.replica,
                    scope=record.scope,
                    family=record.family,
                    kind=record.kind,
                    evidence=Evidence.CERTAIN,
                    rule=record.rule,
                    reported_by=record.reported_by,
                    probeable=record.probeable,
                )
