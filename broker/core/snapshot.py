"""A provider's confirmed health at one place of the log, frozen: what a replica starts from."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from broker.core.circuit import FOREVER, Circuit
from broker.core.fold import Change
from broker.core.health import COUNT_MEMORY_S, FACT_MEMORY_S, CountKey, Counts, Health, Incident
from broker.core.replica import ReplicaHealth


class SeenFact(NamedTuple):
    """The id of a fact that was folded, and the log time of that."""

    fact_id: str
    at: float


class CountedSecond(NamedTuple):
    """What one replica published of one second."""

    key: CountKey
    counts: Counts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the facts up to `position` left behind; `at` is how far log time had come.

    Facts that the log has not confirmed are no part of it, nor are circuits of strangers.
    """

    provider: str
    position: int
    at: float
    circuits: tuple[Circuit, ...] = ()
    seen: tuple[SeenFact, ...] = ()
    counts: tuple[CountedSecond, ...] = ()
    incidents: tuple[Incident, ...] = ()


def take_snapshot(provider: str, replica: ReplicaHealth, at: float) -> Snapshot:
    """What the log confirmed to this replica, without what is too old to matter."""
    confirmed = replica.confirmed
    return Snapshot(
        provider=provider,
        position=replica.position,
        at=at,
        circuits=tuple(confirmed.circuits()),
        seen=tuple(
            SeenFact(fact_id, seen_at)
            for fact_id, seen_at in confirmed.seen()
            if seen_at >= at - FACT_MEMORY_S
        ),
        counts=tuple(
            CountedSecond(key, counts)
            for key, counts in confirmed.published_counts()
            if key.second >= at - COUNT_MEMORY_S
        ),
        incidents=tuple(confirmed.incidents()),
    )


def restore(snapshot: Snapshot) -> ReplicaHealth:
    """A replica that knows what the snapshot knows, and has nothing pending."""
    replica = ReplicaHealth()
    replica.position = snapshot.position
    for record in snapshot.circuits:
        replica.confirmed.put(record)
    for fact_id, at in snapshot.seen:
        replica.confirmed.note_seen(fact_id, at)
    for key, counts in snapshot.counts:
        replica.confirmed.count(key, counts)
    for incident in snapshot.incidents:
        replica.confirmed.set_incident(incident.owner_class, incident)
    return replica


def restored_changes(before: Health, after: Health, at: float) -> list[Change]:
    """What a listener that knew of `before` learns of `after`, as if it had just happened."""
    changes = []
    for record in after.circuits():
        known = before.families(record.scope).get(record.family)
        if record != known:
            earlier = known or _before(record)
            changes.append(Change(record.scope, record.family, earlier, record, at, "restored"))
    gone = (one for one in before.circuits() if one.family not in after.families(one.scope))
    changes += [Change(one.scope, one.family, one, None, at, "restored") for one in gone]
    return changes


def _before(record: Circuit) -> Circuit | None:
    """Open for ever where the record was reopened since: that reopening is news too."""
    if record.reopened_at is None:
        return None
    return replace(record, until=FOREVER, reopened_at=None)
