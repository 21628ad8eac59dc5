"""Snapshots: a replica that starts from one knows what the one that took it knew."""

from broker.core.facts import Fact, IncidentChanged, UpstreamCounted
from broker.core.fold import fold
from broker.core.health import (
    COUNT_MEMORY_S,
    FACT_MEMORY_S,
    CountKey,
    Counts,
    Health,
    Incident,
)
from broker.core.replica import Logged, ReplicaHealth
from broker.core.snapshot import Snapshot, restore, restored_changes, take_snapshot
from broker.core.words import Family, ProbeResult, State
from tests.unit.core.given import KEY, NOW, PROVIDER, UPSTREAM, failed, probed, trial, weak

LATER = NOW + 60.0


def counted(fact_id: str, second: float = NOW, failures: int = 1) -> UpstreamCounted:
    return UpstreamCounted(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        upstream=UPSTREAM,
        principal="gateway",
        second=int(second),
        failed=failures,
    )


def incident(fact_id: str, *, opened: bool, owner_class: str = "SYSTEM") -> IncidentChanged:
    return IncidentChanged(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        owner_class=owner_class,
        key_ids=("k1",),
        opened=opened,
    )


FACTS: list[Fact] = [
    *(failed(family, family, probeable=True) for family in Family),
    weak("weak", model="o3"),
    counted("counted"),
    incident("opened", opened=True),
    incident("other opened", opened=True, owner_class="TENANT"),
    incident("other closed", opened=False, owner_class="TENANT"),
]


def a_replica(*facts: Fact) -> ReplicaHealth:
    """One that the log told of these facts."""
    replica = ReplicaHealth()
    for position, fact in enumerate(facts, 1):
        replica.confirm(Logged(position, NOW + position / 100, 0.0, fact))
    return replica


def taken(replica: ReplicaHealth, at: float = NOW + 1.0) -> Snapshot:
    return take_snapshot(PROVIDER, replica, at)


def test_a_restored_replica_is_where_the_other_was() -> None:
    replica = a_replica(*FACTS)
    restored = restore(taken(replica))
    assert restored.position == len(FACTS)
    assert taken(restored) == taken(replica)
    assert restored.view is restored.confirmed


def test_what_follows_a_snapshot_leads_to_the_same_state() -> None:
    replica = a_replica(*FACTS)
    restored = restore(taken(replica))
    following: list[Fact] = [
        probed("answer", ProbeResult.REJECTED),
        trial("trial", Family.QUOTA, passed=True),
        failed("again", Family.LIMIT, hint_s=600.0),
        counted("more", NOW, failures=2),
        incident("closed", opened=False),
    ]
    for position, fact in enumerate(following, len(FACTS) + 1):
        logged = Logged(position, LATER + position, 0.0, fact)
        assert restored.confirm(logged) == replica.confirm(logged)
    assert taken(restored, LATER) == taken(replica, LATER)


def test_a_fact_from_before_the_snapshot_is_not_folded_again() -> None:
    restored = restore(taken(a_replica(*FACTS)))
    for position, fact in enumerate(FACTS, 1):
        assert restored.confirm(Logged(position, LATER, 0.0, fact)) == []
        assert restored.confirm(Logged(100 + position, LATER, 0.0, fact)) == []


def test_facts_that_are_pending_are_no_part_of_a_snapshot() -> None:
    replica = a_replica(FACTS[0])
    before = taken(replica)
    replica.fold_own(failed("own", Family.QUOTA), NOW)
    assert taken(replica) == before
    assert not restore(before).is_pending(failed("own", Family.QUOTA))


def test_a_fact_is_pending_until_it_is_confirmed() -> None:
    replica, fact = ReplicaHealth(), failed("own", Family.QUOTA)
    replica.fold_own(fact, NOW)
    assert replica.is_pending(fact)
    replica.confirm(Logged(1, NOW, 0.0, fact))
    assert not replica.is_pending(fact)


def test_ids_and_counts_that_are_too_old_to_matter_are_left_out() -> None:
    replica = a_replica(counted("c"), failed("f", Family.LIMIT))
    at = NOW + 1.0
    later = taken(replica, at + COUNT_MEMORY_S)
    assert [seen.fact_id for seen in later.seen] == ["c", "f"]
    assert later.counts == ()
    assert taken(replica, at + FACT_MEMORY_S).seen == ()
    assert taken(replica).counts == (
        (CountKey(UPSTREAM, "a", "gateway", int(NOW)), Counts(failed=1)),
    )


def test_only_incidents_that_are_on_are_kept() -> None:
    (kept,) = taken(a_replica(*FACTS)).incidents
    assert isinstance(kept, Incident)
    assert kept.owner_class == "SYSTEM"


def test_a_restored_circuit_is_news_with_the_state_it_is_in() -> None:
    after = restore(taken(a_replica(failed("f", Family.CREDENTIAL)))).view
    (change,) = restored_changes(Health(), after, NOW)
    assert (change.scope, change.family) == (KEY, Family.CREDENTIAL)
    assert change.states == (State.CLOSED, State.OPEN)


def test_that_a_circuit_was_reopened_before_is_news_as_well() -> None:
    """Windows of upstreams begin at the reopening, also after a restart."""
    replica = a_replica(failed("f", Family.CREDENTIAL))
    fold(replica.confirmed, probed("p", ProbeResult.AUTHENTICATED), NOW + 1.0, 0.0)
    after = restore(taken(replica, NOW + 2.0)).view
    (change,) = restored_changes(Health(), after, NOW + 2.0)
    assert change.states == (State.OPEN, State.RAMPING)


def test_only_what_is_not_as_it_was_known_is_news() -> None:
    before = a_replica(*(failed(family, family) for family in (Family.QUOTA, Family.LIMIT))).view
    after = a_replica(*(failed(family, family) for family in (Family.QUOTA, Family.ACCESS))).view
    opened, closed = restored_changes(before, after, NOW)
    assert (opened.family, opened.states) == (Family.ACCESS, (State.CLOSED, State.OPEN))
    assert (closed.family, closed.states) == (Family.LIMIT, (State.OPEN, State.CLOSED))
