"""The health of one provider, and the overlay that holds what the log has not yet confirmed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from broker.core.circuit import Circuit
from broker.core.scope import Scope, Upstream
from broker.core.words import Family

FACT_MEMORY_S = 15 * 60.0
"""How long a fact's id is remembered, so that a duplicate folds once."""

COUNT_MEMORY_S = 120.0
"""How long published counts are kept: twice the window that reads them."""

_NEVER = float("-inf")
_NOTHING: Mapping[Family, Circuit] = {}


class CountKey(NamedTuple):
    """Whose counts: one replica's, of one upstream and principal, in one second of log time."""

    upstream: Upstream
    replica: str
    principal: str
    second: int


class Counts(NamedTuple):
    """Final outcomes of requests; signed, since a retry takes a counted fault back."""

    succeeded: int = 0
    failed: int = 0
    unreachable: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sum of both."""
        return Counts(
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.unreachable + other.unreachable,
        )


@dataclass(frozen=True, slots=True)
class Incident:
    """Keys of one owner class that are rejected together since `since`."""

    owner_class: str
    key_ids: tuple[str, ...]
    since: float


class Health:
    """Circuits in trouble by scope and family; no entry means healthy.

    With a `base`, writes stay in this layer and reads fall through: folding pending facts costs
    what they touch, and forgetting them is dropping the layer.
    """

    def __init__(self, base: "Health | None" = None) -> None:
        self._base = base
        self._circuits: dict[Scope, Mapping[Family, Circuit]] = {}
        self._model_scopes: dict[tuple[str, str], frozenset[Scope]] = {}
        self._seen: dict[str, float] = {}
        self._counts: dict[CountKey, Counts] = {}
        self._incidents: dict[str, Incident | None] = {}

    def families(self, scope: Scope) -> Mapping[Family, Circuit]:
        """The circuits of `scope` by family, spent ones included until the next sweep."""
        found = self._circuits.get(scope)
        if found is not None:
            return found
        return self._base.families(scope) if self._base else _NOTHING

    def circuit(self, scope: Scope, family: Family, now: float) -> Circuit | None:
        """The record of (scope, family), or None when it is healthy or spent at `now`."""
        record = self.families(scope).get(family)
        return None if record is None or record.is_spent(now) else record

    def put(self, record: Circuit) -> None:
        """Keep `record` as the state of its (scope, family)."""
        scope = record.scope
        self._circuits[scope] = {**self.families(scope), record.family: record}
        if scope.key_id and scope.model:
            key = (scope.key_id, scope.revision)
            self._model_scopes[key] = self.model_scopes(*key) | {scope}

    def drop(self, scope: Scope, family: Family) -> None:
        """Forget (scope, family): it is healthy."""
        rest = {name: record for name, record in self.families(scope).items() if name != family}
        if rest or self._base:
            self._circuits[scope] = rest
            return
        self._circuits.pop(scope, None)
        if scope.key_id and scope.model:
            key = (scope.key_id, scope.revision)
            scopes = self.model_scopes(*key) - {scope}
            self._model_scopes[key] = scopes
            if not scopes:
                del self._model_scopes[key]

    def model_scopes(self, key_id: str, revision: str) -> frozenset[Scope]:
        """The (key, model) scopes of one revision that have records."""
        found = self._model_scopes.get((key_id, revision))
        if found is not None:
            return found
        return self._base.model_scopes(key_id, revision) if self._base else frozenset()

    def is_calm(self) -> bool:
        """Is there no record at all, so that every circuit admits?"""
        return not self._circuits and (self._base is None or self._base.is_calm())

    def circuits(self) -> Iterator[Circuit]:
        """Every record of this state."""
        if self._base:
            for record in self._base.circuits():
                if record.scope not in self._circuits:
                    yield record
        for families in self._circuits.values():
            yield from families.values()

    def has_seen(self, fact_id: str, now: float) -> bool:
        """Was the fact folded already, here or below, in the last FACT_MEMORY_S?"""
        if self._seen.get(fact_id, _NEVER) >= now - FACT_MEMORY_S:
            return True
        return self._base is not None and self._base.has_seen(fact_id, now)

    def note_seen(self, fact_id: str, at: float) -> None:
        """Remember a folded fact's id for FACT_MEMORY_S of log time."""
        self._seen.pop(fact_id, None)  # a sweep relies on the order of time
        self._seen[fact_id] = at

    def seen(self) -> Iterator[tuple[str, float]]:
        """The ids that this layer remembers and the log time of each, oldest first."""
        yield from self._seen.items()

    def count(self, key: CountKey, counts: Counts) -> None:
        """Add a replica's published counts of one second."""
        self._counts[key] = self._counts.get(key, Counts()).plus(counts)

    def published_counts(self) -> Iterator[tuple[CountKey, Counts]]:
        """Counts of every replica that published some, layer by layer."""
        if self._base:
            yield from self._base.published_counts()
        yield from self._counts.items()

    def set_incident(self, owner_class: str, incident: Incident | None) -> None:
        """Begin an owner class's incident, or end it with None."""
        self._incidents[owner_class] = incident

    def incident(self, owner_class: str) -> Incident | None:
        """The incident that is on for an owner class."""
        if owner_class in self._incidents:
            return self._incidents[owner_class]
        return self._base.incident(owner_class) if self._base else None

    def incidents(self) -> Iterator[Incident]:
        """The incidents that this layer knows to be on."""
        return (incident for incident in self._incidents.values() if incident)

    def sweep(self, now: float) -> list[Circuit]:
        """Forget spent records, old fact ids and old counts; return the records that went.

        Folding treats a spent record as none, so when a replica sweeps changes no decision.
        """
        gone = [record for record in self.circuits() if record.is_spent(now)]
        for record in gone:
            self.drop(record.scope, record.family)
        for fact_id, at in list(self._seen.items()):
            if at >= now - FACT_MEMORY_S:
                break
            del self._seen[fact_id]
        for key in [key for key in self._counts if key.second < now - COUNT_MEMORY_S]:
            del self._counts[key]
        return gone
