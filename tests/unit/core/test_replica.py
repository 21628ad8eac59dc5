"""A replica acts on its own facts at once and ends up where the log says."""

from broker.core.health import FACT_MEMORY_S
from broker.core.replica import Logged, Pending, ReplicaHealth
from broker.core.words import Family, State
from tests.unit.core.given import NOW, TROUBLES, failed, trial


def state(replica: ReplicaHealth, family: Family, now: float = NOW) -> State:
    record = replica.view.circuit(TROUBLES[family][0], family, now)
    return record.standing(now).state if record else State.CLOSED


def test_an_own_fact_counts_at_once_and_stays_pending_until_the_log_confirms_it() -> None:
    replica, fact = ReplicaHealth(), failed("f1", Family.QUOTA)
    assert len(replica.fold_own(fact, NOW)) == 1
    assert state(replica, Family.QUOTA) is State.OPEN
    assert replica.confirmed.is_calm()
    assert replica.pending == [Pending(NOW, fact)]
    assert len(replica.confirm(Logged(1, NOW, 0.0, fact))) == 1
    assert (replica.pending, replica.view) == ([], replica.confirmed)
    assert state(replica, Family.QUOTA) is State.OPEN


def test_own_facts_pile_up_until_the_log_takes_them() -> None:
    replica = ReplicaHealth()
    for family in (Family.QUOTA, Family.LIMIT):
        replica.fold_own(failed(f"{family}", family), NOW)
    assert [pending.fact.fact_id for pending in replica.pending] == ["quota", "limit"]
    assert state(replica, Family.QUOTA) is State.OPEN
    assert state(replica, Family.LIMIT) is State.OPEN


def test_another_replicas_fact_leaves_own_pending_facts_on_top() -> None:
    replica = ReplicaHealth()
    replica.fold_own(failed("own", Family.QUOTA), NOW)
    replica.confirm(Logged(1, NOW + 1.0, 0.0, failed("other", Family.LIMIT)))
    assert {record.family for record in replica.view.circuits()} == {Family.QUOTA, Family.LIMIT}
    [own] = [record for record in replica.view.circuits() if record.family is Family.QUOTA]
    assert own.opened_at == NOW


def test_a_pending_fact_never_moves_into_the_past_of_the_log() -> None:
    """A replica whose clock runs ahead of the log keeps its own time for its own facts."""
    replica = ReplicaHealth()
    replica.fold_own(failed("own", Family.QUOTA), NOW)
    replica.confirm(Logged(1, NOW - 3.0, 0.0, failed("other", Family.LIMIT)))
    [own] = [record for record in replica.view.circuits() if record.family is Family.QUOTA]
    assert own.opened_at == NOW


def test_a_delivery_repeated_or_out_of_date_changes_nothing() -> None:
    replica = ReplicaHealth()
    replica.confirm(Logged(2, NOW, 0.0, failed("f2", Family.LIMIT)))
    assert replica.confirm(Logged(2, NOW, 0.0, failed("f2", Family.LIMIT))) == []
    assert replica.confirm(Logged(1, NOW, 0.0, failed("f1", Family.QUOTA))) == []
    assert replica.position == 2
    assert state(replica, Family.QUOTA) is State.CLOSED


def test_a_fact_appended_twice_folds_once() -> None:
    replica, fact = ReplicaHealth(), failed("f1", Family.LIMIT)
    replica.confirm(Logged(1, NOW, 0.0, fact))
    assert replica.confirm(Logged(2, NOW + 100.0, 0.0, fact)) == []
    assert state(replica, Family.LIMIT, NOW + 100.0) is State.CLOSED


def test_an_own_fact_told_twice_folds_once() -> None:
    replica, fact = ReplicaHealth(), failed("f1", Family.LIMIT)
    replica.fold_own(fact, NOW)
    assert replica.fold_own(fact, NOW + 1.0) == []
    assert replica.fold_own(fact, NOW + 2 * FACT_MEMORY_S) == []
    assert replica.pending == [Pending(NOW, fact)]


def test_a_fact_that_would_change_nothing_is_known_before_it_is_logged() -> None:
    replica = ReplicaHealth()
    assert replica.would_change(failed("f1", Family.QUOTA), NOW)
    assert replica.confirmed.is_calm()
    replica.fold_own(failed("f1", Family.QUOTA), NOW)
    assert replica.would_change(failed("f2", Family.QUOTA), NOW + 1.0) == []
    assert replica.would_change(trial("t1", Family.LIMIT, passed=True), NOW + 1.0) == []


def test_replicas_that_saw_facts_in_another_order_agree_once_all_are_delivered() -> None:
    first, second = ReplicaHealth(), ReplicaHealth()
    fact_a = failed("a", Family.LIMIT, hint_s=2.0)
    fact_b = failed("b", Family.LIMIT, hint_s=9.0)
    first.fold_own(fact_a, NOW)
    second.fold_own(fact_b, NOW)
    for replica in (first, second):
        replica.confirm(Logged(1, NOW, 0.0, fact_b))
        replica.confirm(Logged(2, NOW + 0.1, 0.1, fact_a))
    assert list(first.view.circuits()) == list(second.view.circuits())


def test_a_replica_that_begins_anew_keeps_what_it_has_pending() -> None:
    replica, ahead = ReplicaHealth(), ReplicaHealth()
    replica.confirm(Logged(1, NOW, 0.0, failed("gone", Family.ACCESS)))
    replica.fold_own(failed("own", Family.QUOTA), NOW)
    ahead.confirm(Logged(9, NOW + 1.0, 0.0, failed("other", Family.LIMIT)))
    replica.begin_anew(ahead, NOW + 1.0)
    assert replica.position == 9
    assert [pending.fact.fact_id for pending in replica.pending] == ["own"]
    assert {record.family for record in replica.view.circuits()} == {Family.QUOTA, Family.LIMIT}
    assert [record.family for record in replica.confirmed.circuits()] == [Family.LIMIT]


def test_what_was_confirmed_meanwhile_is_pending_no_more_where_a_replica_begins_anew() -> None:
    replica, ahead = ReplicaHealth(), ReplicaHealth()
    fact = failed("own", Family.QUOTA)
    replica.fold_own(fact, NOW)
    ahead.confirm(Logged(9, NOW + 1.0, 1.0, fact))
    replica.begin_anew(ahead, NOW + 1.0)
    assert (replica.pending, replica.view) == ([], replica.confirmed)
    assert state(replica, Family.QUOTA) is State.OPEN
