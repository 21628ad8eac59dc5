"""Advice: the next step of a gateway."""

from dataclasses import replace

import pytest

from broker.core.advice import FAULT_DELAY_S, KEY_FAULTS, Advice, Situation, advise
from broker.core.verdict import PROVIDER_FAULTS, Verdict
from broker.core.words import AdviceAction, Evidence, Kind, Phase, ScopeKind

CALM = Situation(
    phase=Phase.COMPLETE,
    can_replay=False,
    provider_faults=1,
    has_retry_budget=True,
    other_key_admits=True,
)


def verdict(kind: Kind, retry_hint_s: float | None = None) -> Verdict:
    return Verdict(kind, ScopeKind.KEY, Evidence.CERTAIN, "rule", retry_hint_s)


@pytest.mark.parametrize("kind", sorted(KEY_FAULTS))
def test_another_key_may_be_spared_what_this_one_met(kind: Kind) -> None:
    alone = replace(CALM, other_key_admits=False)
    assert advise(verdict(kind), CALM).action is AdviceAction.RETRY_OTHER_KEY
    assert advise(verdict(kind), alone).action is AdviceAction.SWITCH_MODEL


@pytest.mark.parametrize("kind", sorted(PROVIDER_FAULTS))
def test_a_first_provider_fault_is_worth_another_try_after_a_moment(kind: Kind) -> None:
    alone = replace(CALM, other_key_admits=False)
    assert advise(verdict(kind), CALM) == Advice(AdviceAction.RETRY_OTHER_KEY, FAULT_DELAY_S)
    assert advise(verdict(kind), alone) == Advice(AdviceAction.RETRY_SAME_KEY, FAULT_DELAY_S)
    assert advise(verdict(kind, 3.0), CALM).delay_s == 3.0
    assert advise(verdict(kind, 0.0), CALM).delay_s == 0.0


@pytest.mark.parametrize("kind", sorted(PROVIDER_FAULTS))
def test_after_two_provider_faults_or_without_budget_the_model_is_switched(kind: Kind) -> None:
    second, broke = replace(CALM, provider_faults=2), replace(CALM, has_retry_budget=False)
    assert advise(verdict(kind), second).action is AdviceAction.SWITCH_MODEL
    assert advise(verdict(kind), broke).action is AdviceAction.SWITCH_MODEL


def test_a_region_that_is_not_served_is_served_by_another_model() -> None:
    assert advise(verdict(Kind.REGION_UNSUPPORTED), CALM).action is AdviceAction.SWITCH_MODEL


@pytest.mark.parametrize(
    "kind",
    [Kind.OK, Kind.INVALID_REQUEST, Kind.CONTENT_POLICY, Kind.CANCELLED, Kind.UNKNOWN],
)
def test_what_no_retry_improves_stops(kind: Kind) -> None:
    assert advise(verdict(kind), CALM) == Advice(AdviceAction.STOP)


@pytest.mark.parametrize("kind", Kind)
def test_once_bytes_reached_the_user_only_a_caller_that_can_replay_retries(kind: Kind) -> None:
    streaming = replace(CALM, phase=Phase.MID_STREAM)
    assert advise(verdict(kind), streaming) == Advice(AdviceAction.STOP)
    assert advise(verdict(kind), replace(streaming, can_replay=True)) == advise(verdict(kind), CALM)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.MID_STREAM])
def test_before_the_first_byte_and_after_a_whole_answer_the_phase_does_not_matter(
    phase: Phase,
) -> None:
    advice = advise(verdict(Kind.OVERLOADED), replace(CALM, phase=phase))
    assert advice.action is AdviceAction.RETRY_OTHER_KEY
