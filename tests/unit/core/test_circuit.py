"""The circuit: one table, states derived from instants, deadlines that only grow."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.circuit import (
    FOREVER,
    TRANSITIONS,
    Action,
    Circuit,
    Event,
    Failure,
    jitter_s,
    lengthen,
    reopen,
    restep,
    trip,
)
from broker.core.policy import FAMILIES, LEVEL_DECAY_S, POLICIES, RAMP_STEPS, RECORD_TTL_S, Healing
from broker.core.words import Family, Kind, State
from tests.unit.core.given import NOW, TROUBLES


def failure(family: Family, *, hint_s: float = 0.0, fact_id: str = "f") -> Failure:
    kind = TROUBLES[family][1]
    return Failure(kind, POLICIES[kind], fact_id, hint_s=hint_s, rule="rule", reported_by="gateway")


def opened(family: Family, *, hint_s: float = 0.0) -> Circuit:
    """A circuit that its first failure opened at NOW."""
    return trip(None, TROUBLES[family][0], failure(family, hint_s=hint_s), NOW, NOW)


def again(record: Circuit, at: float, *, hint_s: float = 0.0) -> Circuit:
    """The same trouble once more, at once known."""
    return trip(record, record.scope, failure(record.family, hint_s=hint_s), at, at)


# --- The table ------------------------------------------------------------------------------


def test_the_table_is_total_over_states_and_events() -> None:
    assert set(TRANSITIONS) == set(product(State, Event))
    assert set(TRANSITIONS.values()) == set(Action)


def test_late_evidence_never_changes_a_state() -> None:
    late = (Event.FAILED_LATE, Event.PASSED_LATE)
    actions = {TRANSITIONS[state, event] for state, event in product(State, late)}
    assert actions == {Action.IGNORE, Action.LENGTHEN}


def test_an_operator_closes_a_circuit_in_any_state() -> None:
    assert {TRANSITIONS[state, Event.CLEARED] for state in State} == {Action.DROP}


def test_only_an_open_circuit_lengthens_and_an_open_one_never_trips_anew() -> None:
    for (state, _), action in TRANSITIONS.items():
        assert action is not Action.LENGTHEN or state is State.OPEN
        assert action is not Action.TRIP or state is not State.OPEN


# --- States are read off the clock ----------------------------------------------------------


@pytest.mark.parametrize("family", Family)
def test_a_tripped_circuit_is_open_until_its_deadline(family: Family) -> None:
    record = opened(family)
    standing = record.standing(record.until - 0.001)
    assert standing == (State.OPEN, NOW, record.until)


@pytest.mark.parametrize("family", [f for f in Family if f is not Family.LIMIT])
def test_after_its_deadline_a_circuit_waits_half_open_for_an_event(family: Family) -> None:
    record = opened(family)
    assert record.standing(record.until) == (State.HALF_OPEN, record.until, FOREVER)
    assert record.standing(record.until + 7200.0).state is State.HALF_OPEN


def test_a_limit_has_no_half_open_state_and_ramps_from_its_deadline_on() -> None:
    record = opened(Family.LIMIT)
    closes = record.until + RAMP_STEPS * 0.25
    assert record.standing(record.until) == (State.RAMPING, record.until, closes)
    assert record.standing(closes) == (State.CLOSED, closes, FOREVER)


@pytest.mark.parametrize("family", Family)
def test_a_reopened_circuit_ramps_and_then_is_closed_without_any_report(family: Family) -> None:
    record = reopen(opened(family), NOW + 1.0)
    closes = NOW + 1.0 + RAMP_STEPS * FAMILIES[family].ramp_step_s
    assert record.standing(NOW + 1.0) == (State.RAMPING, NOW + 1.0, closes)
    assert record.standing(closes).state is State.CLOSED


def test_only_limits_heal_by_time_and_only_credentials_by_probe() -> None:
    healing = {family: policy.healing for family, policy in FAMILIES.items()}
    assert healing.pop(Family.LIMIT) is Healing.TIME
    assert healing.pop(Family.CREDENTIAL) is Healing.PROBE
    assert set(healing.values()) == {Healing.TRIAL}


# --- The ramp -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", Family)
def test_a_ramp_doubles_its_allowance_with_each_whole_step(family: Family) -> None:
    record, step_s = reopen(opened(family), NOW), FAMILIES[family].ramp_step_s
    allowances = [record.ramp_allowance(NOW + step * step_s) for step in range(RAMP_STEPS)]
    assert allowances == [1, 2, 4, 8, 16, 32]
    assert record.ramp_allowance(NOW + 0.99 * step_s) == 1


def test_a_clock_a_little_behind_the_reopening_still_allows_one_lease() -> None:
    assert reopen(opened(Family.QUOTA), NOW).ramp_allowance(NOW - 5.0) == 1


def test_a_ramp_step_ends_when_the_allowance_doubles() -> None:
    record = reopen(opened(Family.QUOTA), NOW)
    assert record.ramp_step_ends(NOW) == NOW + 2.0
    assert record.ramp_step_ends(NOW + 1.9) == NOW + 2.0
    assert record.ramp_step_ends(NOW + 2.0) == NOW + 4.0


# --- Levels and backoff ---------------------------------------------------------------------


@pytest.mark.parametrize("family", [f for f in Family if f is not Family.LIMIT])
def test_a_failed_trial_opens_one_level_up_for_longer(family: Family) -> None:
    first = opened(family)
    second = again(first, first.until)
    assert (first.level, second.level) == (1, 2)
    assert second.until - second.opened_at >= first.until - first.opened_at
    assert second.since == first.since == NOW


def test_backoff_doubles_from_its_base_to_its_cap() -> None:
    policy = POLICIES[Kind.RATE_LIMITED]
    assert [policy.backoff_s(level) for level in (0, 1, 2, 3)] == [5.0, 5.0, 10.0, 20.0]
    assert policy.backoff_s(10_000) == 900.0


def test_a_hinted_reset_does_not_raise_the_level() -> None:
    record = opened(Family.LIMIT, hint_s=0.7)
    assert record.level == 0
    assert 0.7 <= record.until - NOW <= 0.77
    assert again(opened(Family.LIMIT), NOW + 10.0, hint_s=1.0).level == 1


def test_a_level_decays_by_one_for_each_healthy_ten_minutes() -> None:
    record = replace(reopen(opened(Family.QUOTA), NOW), level=2)
    closed = record.standing(NOW).ends
    times = [closed, closed + LEVEL_DECAY_S - 1, closed + LEVEL_DECAY_S, closed + 9e9]
    assert [record.level_at(at) for at in times] == [2, 2, 1, 0]


@pytest.mark.parametrize("family", [f for f in Family if f is not Family.LIMIT])
def test_a_level_does_not_decay_while_the_circuit_is_in_trouble(family: Family) -> None:
    record = replace(opened(family), level=3)
    assert record.level_at(record.until + 23 * 3600.0) == 3


def test_trouble_after_healing_is_a_new_episode_at_the_decayed_level() -> None:
    record = replace(reopen(opened(Family.QUOTA), NOW), level=3)
    at = record.standing(NOW).ends + 2 * LEVEL_DECAY_S
    tripped = again(record, at)
    assert (tripped.level, tripped.since) == (2, at)


def test_a_level_ends_where_it_would_open_no_longer() -> None:
    """Else a long outage would take days of health to be forgotten."""
    record = replace(opened(Family.QUOTA), level=3)
    again_ = again(record, record.until + 1.0)
    assert again_.level == 3


def test_trouble_during_the_ramp_continues_the_episode() -> None:
    record = reopen(opened(Family.QUOTA), NOW + 900.0)
    tripped = again(record, NOW + 901.0)
    assert (tripped.level, tripped.since) == (2, NOW)


# --- Records end ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", Family)
def test_a_closed_record_is_spent_once_its_level_has_decayed(family: Family) -> None:
    record = reopen(opened(family), NOW)
    closed = record.standing(NOW).ends
    assert not record.is_spent(closed + LEVEL_DECAY_S - 1)
    assert record.is_spent(closed + LEVEL_DECAY_S)


@pytest.mark.parametrize("family", [Family.QUOTA, Family.ACCESS, Family.HEALTH])
def test_a_record_nobody_tries_is_spent_a_day_after_its_deadline(family: Family) -> None:
    record = opened(family)
    assert not record.is_spent(record.until + RECORD_TTL_S - 1)
    assert record.is_spent(record.until + RECORD_TTL_S)


def test_a_quarantine_is_never_spent_by_age() -> None:
    assert not opened(Family.CREDENTIAL).is_spent(NOW + 1000 * RECORD_TTL_S)


# --- Jitter ---------------------------------------------------------------------------------


@given(st.floats(0.0, 1e7), st.text())
def test_jitter_only_lengthens_by_at_most_a_tenth_and_thirty_seconds(
    duration_s: float, fact_id: str
) -> None:
    assert 0.0 <= jitter_s(duration_s, fact_id) <= min(duration_s / 10, 30.0)


def test_jitter_is_the_same_on_every_replica_and_spreads_over_facts() -> None:
    spread = {jitter_s(100.0, f"fact-{number}") for number in range(100)}
    assert len(spread) == 100
    assert max(spread) - min(spread) > 8.0
    assert jitter_s(100.0, "fact-7") == jitter_s(100.0, "fact-7")


# --- Deadlines ------------------------------------------------------------------------------


@given(
    st.floats(0.0, 1e6),
    st.floats(-1e5, 1e5),
    st.sampled_from(["late", "fresh"]),
    st.floats(0.0, 1e6),
)
def test_the_deadline_of_an_open_circuit_only_grows(
    hint_s: float, after_s: float, begins: str, first_hint_s: float
) -> None:
    record = opened(Family.LIMIT, hint_s=first_hint_s)
    more = failure(Family.LIMIT, hint_s=hint_s, fact_id="g")
    assert lengthen(record, more, NOW + after_s, late=begins == "late").until >= record.until


def test_a_failure_without_a_hint_leaves_an_open_circuit_as_it_is() -> None:
    record = opened(Family.LIMIT)
    assert lengthen(record, failure(Family.LIMIT), NOW + 1.0, late=False) == record


def test_late_failures_of_one_burst_with_one_hint_are_one() -> None:
    record = opened(Family.LIMIT, hint_s=20.0)
    more = failure(Family.LIMIT, hint_s=20.0)
    assert lengthen(record, more, NOW + 0.5, late=True) == record


def test_a_longer_hint_lengthens_and_names_its_rule() -> None:
    record = opened(Family.LIMIT, hint_s=20.0)
    more = replace(failure(Family.LIMIT, hint_s=60.0), rule="daily limit")
    longer = lengthen(record, more, NOW + 0.5, late=True)
    assert (longer.hint_s, longer.rule, longer.level) == (60.0, "daily limit", 0)
    assert longer.until >= NOW + 60.5


def test_a_fresh_failure_with_a_shorter_hint_lengthens_without_taking_the_name() -> None:
    record = opened(Family.LIMIT, hint_s=20.0)
    more = replace(failure(Family.LIMIT, hint_s=10.0), rule="other")
    longer = lengthen(record, more, NOW + 19.0, late=False)
    assert longer.until >= NOW + 29.0
    assert (longer.hint_s, longer.rule) == (20.0, "rule")


def test_a_confirmation_is_kept_and_answers_the_evidence() -> None:
    record = replace(opened(Family.CREDENTIAL), evidence_at=NOW)
    confirmed = lengthen(
        record, replace(failure(Family.CREDENTIAL), confirmed=True), NOW + 1.0, late=False
    )
    assert (confirmed.confirmed, confirmed.evidence_at) == (True, None)
    later = lengthen(confirmed, failure(Family.CREDENTIAL), NOW + 2.0, late=False)
    assert later.confirmed


def test_reopening_forgets_the_hint_and_what_probes_said_but_not_the_level() -> None:
    record = replace(
        opened(Family.CREDENTIAL), evidence_at=NOW, confirmed=True, inconclusive=2, level=4
    )
    healed = reopen(record, NOW + 1.0)
    assert (healed.evidence_at, healed.confirmed, healed.inconclusive) == (None, False, 0)
    assert (healed.level, healed.hint_s, healed.reopened_at) == (4, 0.0, NOW + 1.0)


def test_a_deadline_from_before_an_early_reopening_does_not_come_back() -> None:
    """A passed probe ends the long wait for good: the next failure starts from its own backoff."""
    healed = reopen(replace(opened(Family.CREDENTIAL), until=NOW + 6 * 3600.0), NOW + 1.0)
    tripped = again(healed, NOW + 2.0)
    assert tripped.until <= NOW + 2.0 + 33.0


def test_a_trial_that_proved_nothing_costs_a_quarantine_another_step() -> None:
    record = opened(Family.CREDENTIAL)
    policy = POLICIES[Kind.INVALID_CREDENTIAL]
    stepped = restep(record, policy, record.until + 1.0)
    assert stepped.until == record.until + 1.0 + 15.0
    assert stepped.level == record.level


def test_a_trial_that_proved_nothing_leaves_other_families_ready_for_the_next() -> None:
    record = opened(Family.QUOTA)
    assert restep(record, POLICIES[Kind.QUOTA_EXHAUSTED], record.until + 1.0) is record
