"""The fold: which fact moves which circuit, what fences it, and what a probe answers."""

from dataclasses import replace

import pytest

from broker.core.facts import (
    CircuitCleared,
    RevisionRetired,
)
from broker.core.health import FACT_MEMORY_S
from broker.core.policy import LEVEL_DECAY_S, POLICIES
from broker.core.scope import key_model_scope
from broker.core.words import Family, ProbeResult, State
from tests.unit.core.given import (
    ACCOUNT,
    KEY_MODEL,
    MODEL,
    NOW,
    PROVIDER,
    Story,
    failed,
    probed,
    trial,
)

TRIED = (Family.QUOTA, Family.ACCESS, Family.HEALTH)
"""Families that a customer's trial heals."""


def cleared(fact_id: str, family: Family | None) -> CircuitCleared:
    return CircuitCleared(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        scope=KEY_MODEL,
        family=family,
        principal="operator",
    )


def retired(fact_id: str) -> RevisionRetired:
    return RevisionRetired(
        fact_id=fact_id, provider=PROVIDER, replica="a", key_id="k1", revision="r1"
    )


def half_open(family: Family) -> Story:
    """A story whose circuit of `family` has just become half-open."""
    story = Story()
    story.tell(failed("first", family))
    story.now = story.circuit(family).until
    assert story.state(family) is State.HALF_OPEN
    return story


def ramping(family: Family) -> Story:
    """A story whose circuit of `family` began to ramp a second ago."""
    story = half_open(family)
    story.tell(trial("healed", family, passed=True))
    story.now += 1.0
    assert story.state(family) is State.RAMPING
    return story


def test_facts_on_a_healthy_scope_that_heal_or_return_leave_no_record() -> None:
    story = Story()
    assert story.tell(trial("passed", Family.QUOTA, passed=True)) == []
    assert story.tell(trial("returned", Family.QUOTA, passed=False)) == []
    assert story.tell(probed("fine", ProbeResult.AUTHENTICATED)) == []
    assert story.tell(probed("unclear", ProbeResult.INCONCLUSIVE)) == []
    assert story.tell(cleared("cleared", None)) == []
    assert story.health.is_calm()


# --- Duplicates and fences ------------------------------------------------------------------


def test_a_duplicated_fact_folds_once() -> None:
    story = Story()
    story.tell(failed("again", Family.LIMIT))
    before = story.circuit(Family.LIMIT)
    assert story.tell(failed("again", Family.LIMIT), after_s=FACT_MEMORY_S) == []
    assert story.health.families(KEY_MODEL)[Family.LIMIT] == before


def test_a_hundred_late_failures_of_one_burst_are_one() -> None:
    story = Story()
    story.tell(failed("first", Family.LIMIT, hint_s=2.0))
    before = story.circuit(Family.LIMIT)
    for number in range(100):
        late = failed(f"late-{number}", Family.LIMIT, lead_s=1.0, hint_s=2.0)
        assert story.tell(late, after_s=0.001) == []
    assert story.circuit(Family.LIMIT) == before


def test_a_success_that_started_before_the_circuit_opened_does_not_close_it() -> None:
    story = Story()
    story.tell(failed("first", Family.QUOTA))
    story.tell(trial("early", Family.QUOTA, passed=True, lead_s=10.0), after_s=5.0)
    assert story.state(Family.QUOTA) is State.OPEN


def test_a_failure_that_started_before_the_ramp_does_not_end_it() -> None:
    story = ramping(Family.QUOTA)
    assert story.tell(failed("late", Family.QUOTA, lead_s=1.5)) == []
    assert story.state(Family.QUOTA) is State.RAMPING


def test_a_fact_happened_before_it_was_logged() -> None:
    """The deadline counts from when the failure happened, not from when the log heard of it."""
    story = Story()
    story.tell(failed("old", Family.LIMIT), age_s=3.0)
    record = story.circuit(Family.LIMIT)
    assert record.opened_at == NOW - 3.0
    assert NOW + 2.0 <= record.until <= NOW + 2.5


def test_a_fact_from_the_future_happened_now() -> None:
    story = Story()
    story.tell(replace(failed("odd", Family.LIMIT), lead_s=-5.0), age_s=-5.0)
    assert story.circuit(Family.LIMIT).opened_at == NOW


# --- Hints ----------------------------------------------------------------------------------


def test_a_hint_decides_and_the_backoff_fills_in() -> None:
    story = Story()
    [change] = story.tell(failed("hinted", Family.LIMIT, hint_s=0.7))
    assert change.after is not None
    assert 0.7 <= change.after.until - NOW <= 0.77
    assert change.states == (State.CLOSED, State.OPEN)
    story.tell(failed("plain", Family.QUOTA))
    assert 900.0 <= story.circuit(Family.QUOTA).until - NOW <= 930.0


@pytest.mark.parametrize("family", [Family.LIMIT, Family.QUOTA, Family.HEALTH])
def test_a_hostile_hint_is_believed_up_to_a_cap(family: Family) -> None:
    story = Story()
    story.tell(failed("hostile", family, hint_s=1e12))
    record = story.circuit(family)
    cap_s = POLICIES[record.kind].hint_cap_s
    assert cap_s <= record.until - NOW <= cap_s + 30.0


@pytest.mark.parametrize("family", [Family.CREDENTIAL, Family.ACCESS])
def test_a_provider_cannot_say_how_long_a_key_is_bad(family: Family) -> None:
    story = Story()
    story.tell(failed("hinted", family, hint_s=86400.0))
    record = story.circuit(family)
    assert (record.level, record.hint_s) == (1, 0.0)


def test_a_negative_hint_is_none() -> None:
    story = Story()
    story.tell(failed("odd", Family.LIMIT, hint_s=-3.0))
    assert story.circuit(Family.LIMIT).level == 1


# --- Trials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", TRIED)
def test_a_trial_that_passes_starts_the_ramp_and_one_that_fails_opens_longer(
    family: Family,
) -> None:
    passed, lost = half_open(family), half_open(family)
    passed.tell(trial("passed", family, passed=True))
    lost.tell(failed("failed", family, is_trial=True))
    assert passed.state(family) is State.RAMPING
    assert lost.state(family) is State.OPEN
    assert lost.circuit(family).level == 2


@pytest.mark.parametrize("family", TRIED)
def test_only_the_trials_own_lease_decides_a_half_open_circuit(family: Family) -> None:
    story = half_open(family)
    assert story.tell(failed("bystander", family), after_s=1.0) == []
    assert story.state(family) is State.HALF_OPEN


def test_families_never_heal_each_other() -> None:
    """A probe that lists models proves the credential, not the balance."""
    story = Story()
    story.tell(failed("quota", Family.QUOTA))
    story.tell(failed("limit", Family.LIMIT))
    story.tell(probed("fine", ProbeResult.AUTHENTICATED), after_s=1.0)
    assert story.state(Family.QUOTA) is State.OPEN
    assert story.state(Family.LIMIT) is State.OPEN


def test_a_credential_trial_that_proved_nothing_waits_another_step() -> None:
    story = half_open(Family.CREDENTIAL)
    story.tell(trial("returned", Family.CREDENTIAL, passed=False), after_s=1.0)
    assert story.state(Family.CREDENTIAL) is State.OPEN
    assert story.circuit(Family.CREDENTIAL).until == story.now + 15.0


# --- Operators and revisions ----------------------------------------------------------------


def test_an_operator_clears_one_family_or_all_of_a_scope() -> None:
    one, every = Story(), Story()
    for story in (one, every):
        story.tell(failed("limit", Family.LIMIT))
        story.tell(failed("access", Family.ACCESS))
    one.tell(cleared("clear", Family.LIMIT))
    every.tell(cleared("clear", None))
    assert [record.family for record in one.health.circuits()] == [Family.ACCESS]
    assert every.health.is_calm()


def test_a_retired_revision_takes_its_records_along_and_no_others() -> None:
    story = Story()
    story.tell(failed("credential", Family.CREDENTIAL))
    story.tell(failed("access", Family.ACCESS))
    story.tell(failed("limit", Family.LIMIT))
    story.tell(failed("quota", Family.QUOTA))
    other = key_model_scope(PROVIDER, "k1", "r2", MODEL)
    story.tell(replace(failed("other", Family.LIMIT), scope=other))
    assert len(story.tell(retired("retired"))) == 3
    assert {record.scope for record in story.health.circuits()} == {ACCOUNT, other}


# --- Memory ------------------------------------------------------------------------------------


def test_a_records_level_carries_over_healing_until_it_decays() -> None:
    story = ramping(Family.QUOTA)
    closed = story.circuit(Family.QUOTA).standing(story.now).ends
    story.now = closed + LEVEL_DECAY_S - 1.0
    story.tell(failed("soon", Family.QUOTA))
    assert story.circuit(Family.QUOTA).level == 2

    story = ramping(Family.QUOTA)
    story.now = closed + LEVEL_DECAY_S
    story.tell(failed("later", Family.QUOTA))
    assert story.circuit(Family.QUOTA).level == 1


def test_a_repeat_after_the_memory_of_ids_folds_alike_before_and_after_a_sweep() -> None:
    """When a replica sweeps must not decide what a fact does."""
    swept, unswept = Story(), Story()
    for story in (swept, unswept):
        story.tell(failed("same", Family.LIMIT))
        story.now += FACT_MEMORY_S + 1.0
    swept.health.sweep(swept.now)
    for story in (swept, unswept):
        story.tell(failed("same", Family.LIMIT))
    assert swept.find(Family.LIMIT) == unswept.find(Family.LIMIT)
    assert swept.state(Family.LIMIT) is State.OPEN
