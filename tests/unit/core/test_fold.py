"""The fold: which fact moves which circuit, what fences it, and what a probe answers."""

from dataclasses import replace

import pytest

from broker.core.circuit import TRANSITIONS, Action, Event
from broker.core.facts import (
    CircuitCleared,
    IncidentChanged,
    MarkAnnounced,
    RevisionRetired,
    UpstreamCounted,
)
from broker.core.fold import answer_evidence, fold
from broker.core.health import FACT_MEMORY_S, CountKey, Counts, Health, Incident
from broker.core.policy import LEVEL_DECAY_S, POLICIES
from broker.core.scope import key_model_scope
from broker.core.words import Evidence, Family, Kind, ProbeResult, State
from tests.unit.core.given import (
    ACCOUNT,
    KEY,
    KEY_MODEL,
    MODEL,
    NOW,
    PROVIDER,
    UPSTREAM,
    Story,
    failed,
    probed,
    trial,
    weak,
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


# --- Each row of the table ------------------------------------------------------------------


def in_state(state: State) -> Story:
    """A story whose quota circuit has stood in `state` for a second, with a record."""
    if state is State.RAMPING:
        return ramping(Family.QUOTA)
    story = Story()
    story.tell(failed("first", Family.QUOTA))
    if state is State.OPEN:
        story.now += 1.0
    if state is State.HALF_OPEN:
        story.now = story.circuit(Family.QUOTA).until + 1.0
    if state is State.CLOSED:
        story = ramping(Family.QUOTA)
        story.now = story.circuit(Family.QUOTA).standing(story.now).ends + 1.0
    assert story.state(Family.QUOTA) is state
    return story


def tell(story: Story, event: Event) -> None:
    """Tell the fact that is `event` to a circuit that stood in its state for a second."""
    late_s = 2.0 if event is Event.FAILED_LATE else 9e6 if event is Event.PASSED_LATE else 0.0
    if event in {Event.FAILED, Event.FAILED_LATE, Event.TRIAL_FAILED}:
        is_trial = event is Event.TRIAL_FAILED
        hint_s = 7200.0 if story.state(Family.QUOTA) is State.OPEN else 0.0
        story.tell(failed("event", Family.QUOTA, lead_s=late_s, is_trial=is_trial, hint_s=hint_s))
    elif event is Event.CLEARED:
        story.tell(replace(cleared("event", Family.QUOTA), scope=ACCOUNT))
    else:
        passed = event is not Event.RETURNED
        story.tell(trial("event", Family.QUOTA, passed=passed, lead_s=late_s))


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
def test_every_row_of_the_table_does_what_it_says(state: State, event: Event) -> None:
    story = in_state(state)
    before = story.circuit(Family.QUOTA)
    tell(story, event)
    after = story.find(Family.QUOTA)
    match TRANSITIONS[state, event]:
        case Action.TRIP:
            assert after is not None
            assert story.state(Family.QUOTA) is State.OPEN
            assert after.level == before.level + 1
        case Action.LENGTHEN:
            assert after is not None
            assert after.until > before.until
            assert (after.level, after.opened_at) == (before.level, before.opened_at)
        case Action.REOPEN:
            assert story.state(Family.QUOTA) is State.RAMPING
        case Action.DROP:
            assert after is None
        case Action.IGNORE | Action.RESTEP:
            assert after == before


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


# --- Evidence, then width -------------------------------------------------------------------


def test_certain_evidence_quarantines_the_key_and_asks_for_a_probe() -> None:
    story = Story()
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    record = story.circuit(Family.CREDENTIAL)
    assert story.state(Family.CREDENTIAL) is State.OPEN
    assert (record.evidence_at, record.confirmed, record.probeable) == (NOW, False, True)


def test_evidence_asks_for_no_probe_where_none_can_answer() -> None:
    story = Story()
    story.tell(failed("certain", Family.CREDENTIAL))
    assert story.circuit(Family.CREDENTIAL).evidence_at is None


def test_weak_evidence_restricts_only_the_model() -> None:
    story = Story()
    story.tell(weak("weak"))
    record = story.circuit(Family.ACCESS)
    assert story.state(Family.CREDENTIAL) is State.CLOSED
    assert (record.kind, record.evidence_at) == (Kind.INVALID_CREDENTIAL, NOW)
    assert 600.0 <= record.until - NOW <= 630.0


def test_a_rejected_probe_widens_weak_evidence_to_the_key() -> None:
    story = Story()
    story.tell(weak("weak"))
    story.tell(weak("other", model="gpt-4.1"))
    changes = story.tell(probed("rejected", ProbeResult.REJECTED, lead_s=0.5), after_s=1.0)
    assert story.state(Family.CREDENTIAL) is State.OPEN
    assert story.circuit(Family.CREDENTIAL).confirmed
    assert [change.cause for change in changes] == ["INVALID_CREDENTIAL", "widened", "widened"]
    assert [record.scope for record in story.health.circuits()] == [KEY]


def test_an_authenticated_probe_turns_weak_evidence_into_a_denial() -> None:
    story = Story()
    story.tell(weak("weak"))
    [change] = story.tell(probed("fine", ProbeResult.AUTHENTICATED, lead_s=0.5), after_s=1.0)
    record = story.circuit(Family.ACCESS)
    assert (record.kind, record.evidence_at) == (Kind.PERMISSION_DENIED, None)
    assert (change.cause, record.reported_by) == ("contradicted", "gateway")
    assert story.state(Family.ACCESS) is State.OPEN


@pytest.mark.parametrize("result", ProbeResult)
def test_a_probe_that_started_before_the_evidence_does_not_answer_it(result: ProbeResult) -> None:
    story = Story()
    story.tell(weak("weak"))
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    weak_before, before = story.circuit(Family.ACCESS), story.circuit(Family.CREDENTIAL)
    story.tell(probed("early", result, lead_s=3.0), after_s=1.0)
    assert story.circuit(Family.ACCESS) == weak_before
    after = story.circuit(Family.CREDENTIAL)
    assert replace(after, inconclusive=0) == replace(before, inconclusive=0)


def test_a_contradicted_quarantine_becomes_a_denial_on_the_model() -> None:
    """One gateway's mistake must not cost all tenants a key that a probe proves."""
    story = Story()
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    changes = story.tell(probed("fine", ProbeResult.AUTHENTICATED, lead_s=0.5), after_s=1.0)
    assert story.state(Family.CREDENTIAL) is State.RAMPING
    denial = story.circuit(Family.ACCESS)
    assert story.state(Family.ACCESS) is State.OPEN
    assert (denial.kind, denial.reported_by) == (Kind.PERMISSION_DENIED, "gateway")
    assert (denial.model, denial.rule) == (MODEL, "rule:certain")
    assert changes[-1].cause == "contradicted"


def test_a_contradicted_quarantine_keeps_its_level() -> None:
    story = Story()
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    story.health.put(replace(story.circuit(Family.CREDENTIAL), level=5))
    story.tell(probed("fine", ProbeResult.AUTHENTICATED, lead_s=0.5), after_s=1.0)
    assert story.circuit(Family.ACCESS).level == 5


def test_a_rejected_quarantine_that_heals_later_denies_nothing() -> None:
    story = Story()
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    story.tell(probed("rejected", ProbeResult.REJECTED, lead_s=0.5), after_s=1.0)
    story.tell(probed("fine", ProbeResult.AUTHENTICATED, lead_s=0.5), after_s=20.0)
    assert story.state(Family.CREDENTIAL) is State.RAMPING
    assert story.find(Family.ACCESS) is None


def test_a_rejected_probe_quarantines_a_key_that_nobody_blamed() -> None:
    story = Story()
    story.tell(probed("rejected", ProbeResult.REJECTED))
    record = story.circuit(Family.CREDENTIAL)
    assert (record.level, record.confirmed, record.probeable) == (1, True, True)


def test_a_rejected_probe_during_the_ramp_quarantines_again() -> None:
    story = ramping(Family.CREDENTIAL)
    story.tell(probed("rejected", ProbeResult.REJECTED, lead_s=0.5))
    assert story.state(Family.CREDENTIAL) is State.OPEN
    assert story.circuit(Family.CREDENTIAL).level == 2


def test_a_rejected_probe_from_before_the_reopening_leaves_weak_evidence_open() -> None:
    """It cannot widen to the key any more, so it must not forget what speaks against the model."""
    story = half_open(Family.CREDENTIAL)
    story.tell(weak("weak"))
    story.tell(trial("healed", Family.CREDENTIAL, passed=True), after_s=1.0)
    story.tell(probed("late", ProbeResult.REJECTED, lead_s=1.5), after_s=1.0)
    assert story.state(Family.CREDENTIAL) is State.RAMPING
    assert story.state(Family.ACCESS) is State.OPEN
    assert story.circuit(Family.ACCESS).evidence_at is not None


@pytest.mark.parametrize(
    ("result", "lead_s", "kinds"),
    [
        (ProbeResult.REJECTED, 0.5, []),
        (ProbeResult.AUTHENTICATED, 0.5, [Kind.PERMISSION_DENIED]),
        (ProbeResult.INCONCLUSIVE, 0.5, [Kind.INVALID_CREDENTIAL]),
        (ProbeResult.REJECTED, 2.0, [Kind.INVALID_CREDENTIAL]),
    ],
)
def test_a_probe_answers_weak_evidence_on_models_that_the_log_does_not_know(
    result: ProbeResult, lead_s: float, kinds: list[Kind]
) -> None:
    strangers = Health()
    fold(strangers, weak("weak"), NOW, 0.0)
    answer_evidence(strangers, probed("probe", result, lead_s=lead_s), NOW + 1.0)
    assert [record.kind for record in strangers.circuits()] == kinds


def test_inconclusive_probes_count_only_when_the_provider_answered() -> None:
    story = half_open(Family.CREDENTIAL)
    assert story.tell(probed("hung", ProbeResult.INCONCLUSIVE, reached=False)) == []
    [change] = story.tell(probed("5xx", ProbeResult.INCONCLUSIVE))
    assert change.states == (State.HALF_OPEN, State.HALF_OPEN)
    assert story.circuit(Family.CREDENTIAL).inconclusive == 1


def test_a_late_failed_trial_does_not_confirm_a_newer_quarantine() -> None:
    """Only evidence from after the opening answers it, whoever brings it."""
    story = Story()
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    before = story.circuit(Family.CREDENTIAL)
    late = failed("late", Family.CREDENTIAL, is_trial=True, lead_s=10.0)
    assert story.tell(late, after_s=1.0) == []
    assert story.circuit(Family.CREDENTIAL) == before


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


# --- Facts that move no circuit -------------------------------------------------------------


def test_counts_add_up_by_second() -> None:
    story = Story()
    counted = UpstreamCounted(
        fact_id="c1",
        provider=PROVIDER,
        replica="a",
        upstream=UPSTREAM,
        principal="gateway",
        second=7,
        succeeded=3,
        failed=2,
    )
    story.tell(counted)
    story.tell(replace(counted, fact_id="c2", succeeded=0, failed=-1, unreachable=1))
    sums = dict(story.health.published_counts())
    assert sums == {CountKey(UPSTREAM, "a", "gateway", 7): Counts(3, 1, 1)}


def test_an_incident_begins_and_ends_without_moving_a_circuit() -> None:
    story = Story()
    begun = IncidentChanged(
        fact_id="i1",
        provider=PROVIDER,
        replica="a",
        owner_class="SYSTEM",
        key_ids=("k1", "k2"),
        opened=True,
    )
    assert story.tell(begun, age_s=2.0) == []
    assert story.health.incident("SYSTEM") == Incident("SYSTEM", ("k1", "k2"), NOW - 2.0)
    story.tell(replace(begun, fact_id="i2", opened=False))
    assert story.health.incident("SYSTEM") is None


def test_an_announced_mark_is_only_a_hint_to_read_it() -> None:
    story = Story()
    mark = MarkAnnounced(
        fact_id="m1",
        provider=PROVIDER,
        replica="a",
        mark="disabled",
        subject="k1",
        principal="operator",
    )
    assert story.tell(mark) == []
    assert story.health.is_calm()


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


def test_a_weak_report_on_an_old_denial_does_not_reopen_its_evidence() -> None:
    story = Story()
    story.tell(failed("denied", Family.ACCESS))
    assert story.tell(replace(weak("weak"), evidence=Evidence.WEAK), after_s=1.0) == []
