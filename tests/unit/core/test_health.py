"""Health holds only what is in trouble; a layer on top holds what the log has not confirmed."""

from dataclasses import replace

from broker.core.circuit import Circuit
from broker.core.fold import fold
from broker.core.health import (
    COUNT_MEMORY_S,
    FACT_MEMORY_S,
    CountKey,
    Counts,
    Health,
    Incident,
)
from broker.core.words import Family
from tests.unit.core.given import ACCOUNT, KEY, KEY_MODEL, NOW, UPSTREAM, failed


def troubled(*families: Family, base: Health | None = None) -> Health:
    """A health in which one call of each family failed at NOW."""
    health = Health(base)
    for family in families:
        fold(health, failed(f"{family}", family), NOW, 0.0)
    return health


def record_of(health: Health, family: Family) -> Circuit:
    [record] = [record for record in health.circuits() if record.family is family]
    return record


def test_no_record_means_healthy() -> None:
    health = Health()
    assert health.is_calm()
    assert health.circuit(KEY, Family.CREDENTIAL, NOW) is None
    assert list(health.circuits()) == []


def test_a_spent_record_reads_as_none_before_any_sweep() -> None:
    health = troubled(Family.LIMIT)
    record = record_of(health, Family.LIMIT)
    assert health.circuit(KEY_MODEL, Family.LIMIT, NOW) == record
    assert health.circuit(KEY_MODEL, Family.LIMIT, NOW + 9e6) is None
    assert health.families(KEY_MODEL) == {Family.LIMIT: record}


def test_families_of_one_scope_come_and_go_alone() -> None:
    health = troubled(Family.LIMIT, Family.ACCESS)
    health.drop(KEY_MODEL, Family.LIMIT)
    assert set(health.families(KEY_MODEL)) == {Family.ACCESS}
    assert health.model_scopes("k1", "r1") == {KEY_MODEL}
    health.drop(KEY_MODEL, Family.ACCESS)
    assert health.is_calm()
    assert health.model_scopes("k1", "r1") == frozenset()


def test_the_model_scopes_of_a_revision_shrink_one_by_one() -> None:
    other = KEY_MODEL._replace(model="gpt-4.1")
    health = troubled(Family.LIMIT)
    health.put(replace(record_of(health, Family.LIMIT), scope=other))
    assert health.model_scopes("k1", "r1") == {KEY_MODEL, other}
    health.drop(other, Family.LIMIT)
    assert health.model_scopes("k1", "r1") == {KEY_MODEL}


def test_forgetting_what_is_not_there_changes_nothing() -> None:
    health = Health()
    health.drop(ACCOUNT, Family.QUOTA)
    assert health.is_calm()


def test_a_layer_reads_through_and_keeps_its_writes_to_itself() -> None:
    base = troubled(Family.LIMIT, Family.QUOTA)
    layer = troubled(Family.ACCESS, Family.CREDENTIAL, base=base)
    assert not layer.is_calm()
    assert set(layer.families(KEY_MODEL)) == {Family.LIMIT, Family.ACCESS}
    assert set(base.families(KEY_MODEL)) == {Family.LIMIT}
    families = sorted(record.family for record in layer.circuits())
    assert families == ["access", "credential", "limit", "quota"]
    assert layer.model_scopes("k1", "r1") == {KEY_MODEL}
    assert Health(base).model_scopes("k1", "r1") == {KEY_MODEL}


def test_a_layer_can_forget_what_its_base_holds() -> None:
    base = troubled(Family.QUOTA)
    layer = Health(base)
    assert not layer.is_calm()
    layer.drop(ACCOUNT, Family.QUOTA)
    assert list(layer.circuits()) == []
    assert record_of(base, Family.QUOTA).scope == ACCOUNT


def test_a_layer_knows_the_facts_below_it_but_not_the_other_way_round() -> None:
    base = troubled(Family.QUOTA)
    layer = troubled(Family.LIMIT, base=base)
    assert layer.has_seen("quota", NOW)
    assert layer.has_seen("limit", NOW)
    assert not base.has_seen("limit", NOW)


def test_counts_of_all_layers_are_published() -> None:
    base, key = Health(), CountKey(UPSTREAM, "a", "gateway", 7)
    layer = Health(base)
    base.count(key, Counts(failed=1))
    layer.count(key, Counts(succeeded=2))
    assert list(layer.published_counts()) == [(key, Counts(failed=1)), (key, Counts(succeeded=2))]


def test_an_incident_ends_in_a_layer_before_it_ends_below() -> None:
    base = Health()
    base.set_incident("SYSTEM", Incident("SYSTEM", ("k1",), NOW))
    layer = Health(base)
    assert layer.incident("SYSTEM") == base.incident("SYSTEM")
    layer.set_incident("SYSTEM", None)
    assert layer.incident("SYSTEM") is None
    assert base.incident("SYSTEM") is not None
    assert base.incident("tenants") is None


def test_a_sweep_returns_what_it_forgot() -> None:
    health = troubled(Family.LIMIT, Family.CREDENTIAL)
    record = record_of(health, Family.LIMIT)
    assert health.sweep(NOW) == []
    assert health.sweep(NOW + 90_000.0) == [record]
    assert [left.family for left in health.circuits()] == [Family.CREDENTIAL]


def test_a_sweep_forgets_old_fact_ids_and_counts() -> None:
    health = troubled(Family.LIMIT)
    fold(health, failed("later", Family.QUOTA), NOW + 10.0, 0.0)
    old, new = int(NOW), int(NOW + FACT_MEMORY_S)
    health.count(CountKey(UPSTREAM, "a", "gateway", old), Counts(failed=1))
    health.count(CountKey(UPSTREAM, "a", "gateway", new), Counts(failed=1))
    health.sweep(NOW + FACT_MEMORY_S + 1.0)
    assert not health.has_seen("limit", NOW)
    assert health.has_seen("later", NOW)
    assert [key.second for key, _ in health.published_counts()] == [new]
    health.sweep(NOW + FACT_MEMORY_S + COUNT_MEMORY_S + 10.0)
    assert list(health.published_counts()) == []


def test_a_fact_seen_again_much_later_does_not_keep_older_ids_alive() -> None:
    health = Health()
    for number, at in enumerate((NOW, NOW + 1.0, NOW + 5000.0)):
        health.note_seen(f"fact-{number % 2}", at)
    health.sweep(NOW + 5000.0)
    assert health.has_seen("fact-0", NOW + 5000.0)
    assert not health.has_seen("fact-1", NOW + 1.0)
