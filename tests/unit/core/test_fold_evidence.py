"""Evidence, then width: what a probe that started after the evidence makes of it."""

from dataclasses import replace

import pytest

from broker.core.fold import answer_evidence, fold
from broker.core.health import Health
from broker.core.words import Evidence, Family, Kind, ProbeResult, State
from tests.unit.core.given import KEY, MODEL, NOW, Story, failed, probed, trial, weak


def half_open() -> Story:
    """A story whose quarantine has just become half-open."""
    story = Story()
    story.tell(failed("first", Family.CREDENTIAL))
    story.now = story.circuit(Family.CREDENTIAL).until
    return story


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
    story = half_open()
    story.tell(trial("healed", Family.CREDENTIAL, passed=True))
    story.now += 1.0
    story.tell(probed("rejected", ProbeResult.REJECTED, lead_s=0.5))
    assert story.state(Family.CREDENTIAL) is State.OPEN
    assert story.circuit(Family.CREDENTIAL).level == 2


def test_a_rejected_probe_from_before_the_reopening_leaves_weak_evidence_open() -> None:
    """It cannot widen to the key any more, so it must not forget what speaks against the model."""
    story = half_open()
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
    story = half_open()
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


def test_a_weak_report_on_an_old_denial_does_not_reopen_its_evidence() -> None:
    story = Story()
    story.tell(failed("denied", Family.ACCESS))
    assert story.tell(replace(weak("weak"), evidence=Evidence.WEAK), after_s=1.0) == []


def test_a_contradicted_quarantine_leaves_a_denial_that_is_open_already_as_it_is() -> None:
    """Else its deadline would move with every report that a probe contradicts."""
    story = Story()
    story.tell(failed("denied", Family.ACCESS))
    denied = story.circuit(Family.ACCESS)
    story.tell(failed("certain", Family.CREDENTIAL, probeable=True))
    story.tell(probed("fine", ProbeResult.AUTHENTICATED, lead_s=0.5), after_s=1.0)
    assert story.circuit(Family.ACCESS) == denied


def test_a_failure_that_began_in_the_ramp_counts_after_the_ramp() -> None:
    """Only what began before the healing is late: a dead key must not get one more lease."""
    story = half_open()
    story.tell(probed("fine", ProbeResult.AUTHENTICATED), after_s=1.0)
    story.tell(failed("again", Family.CREDENTIAL, lead_s=30.0), after_s=31.0)
    assert story.state(Family.CREDENTIAL) is State.OPEN


def test_inconclusive_probes_still_count_after_a_failed_trial() -> None:
    """One trial a backoff step, not three more probes before each."""
    story = half_open()
    for number in range(3):
        story.tell(probed(f"unclear-{number}", ProbeResult.INCONCLUSIVE), after_s=1.0)
    story.tell(failed("trial", Family.CREDENTIAL, is_trial=True), after_s=1.0)
    assert story.circuit(Family.CREDENTIAL).inconclusive == 3


def test_an_inconclusive_probe_from_before_the_evidence_does_not_count() -> None:
    story = half_open()
    story.tell(probed("unclear", ProbeResult.INCONCLUSIVE, lead_s=9e5))
    assert story.circuit(Family.CREDENTIAL).inconclusive == 0
