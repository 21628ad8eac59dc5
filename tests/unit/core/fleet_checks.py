"""What must hold in a fleet whatever happens, judged the slow and plain way."""

from collections.abc import Iterator

from broker.core.circuit import Circuit
from broker.core.facts import CircuitCleared, Fact, ProbeEnded, RevisionRetired, TrialEnded
from broker.core.fold import Change
from broker.core.health import Health
from broker.core.key import Key
from broker.core.replica import Logged, ReplicaHealth
from broker.core.scope import Scope
from broker.core.words import Family, State
from tests.unit.core.fold_model import FoldModel

PRINCIPAL = "gateway"


def is_over(scope: Scope, key: Key, model: str) -> bool:
    """Does a scope lie over a lease of this key and model, judged field by field?"""
    wanted = {
        "key_id": key.key_id,
        "revision": key.revision,
        "owner": key.owner,
        "account": key.account or None,
        "model": model,
        "principal": PRINCIPAL,
    }
    said = scope._asdict()
    return all(not said[name] or said[name] == value for name, value in wanted.items())


def circuits_over(health: Health, key: Key, model: str, now: float) -> Iterator[Circuit]:
    """Every remembered circuit over a lease, found the slow way."""
    for record in health.circuits():
        if is_over(record.scope, key, model) and not record.is_spent(now):
            yield record


def snapshot(health: Health, now: float) -> dict[tuple[Scope, Family], Circuit]:
    """What a state says, whatever its layers and sweeps."""
    return {
        (record.scope, record.family): record
        for record in health.circuits()
        if not record.is_spent(now)
    }


def check_deadlines(fact: Fact, changes: list[Change]) -> None:
    """The deadline of an open circuit shrinks only for an operator, a pass or a retirement."""
    for change in changes:
        before, after = change.before, change.after
        if before is None or change.states[0] is not State.OPEN:
            continue
        if after is None or after.until < before.until or after.reopened_at is not None:
            is_pass = isinstance(fact, TrialEnded) and fact.passed
            assert is_pass or isinstance(fact, ProbeEnded | CircuitCleared | RevisionRetired)


def check_agreement(replicas: list[ReplicaHealth], log: list[Logged], now: float) -> None:
    """Replicas that were told everything hold the same, and it is what the log amounts to."""
    now = max([now, *(entry.at for entry in log)])
    first = snapshot(replicas[0].confirmed, now)
    for replica in replicas:
        assert replica.pending == []
        assert snapshot(replica.view, now) == first
        assert snapshot(replica.confirmed, now) == first
    told = FoldModel(log).remembered(now)
    assert {name: _essence(record, now) for name, record in first.items()} == {
        name: (
            one.state(now),
            one.level_at(now),
            one.until,
            one.kind,
            one.asks_probe_since,
            one.inconclusive,
        )
        for name, one in told.items()
    }


def _essence(record: Circuit, now: float) -> tuple[object, ...]:
    """What the model tells of a circuit too."""
    standing = record.standing(now)
    return (
        (standing.state, standing.began),
        record.level_at(now),
        record.until,
        record.kind,
        record.evidence_at,
        record.inconclusive,
    )
