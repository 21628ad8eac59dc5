"""What a gateway should do after an outcome: the verdict, how far the call came, the chain."""

from dataclasses import dataclass

from broker.core.verdict import PROVIDER_FAULTS, Verdict
from broker.core.words import AdviceAction, Kind, Phase

MAX_PROVIDER_FAULTS = 2
"""Provider faults in one chain after which the same model is not worth another try."""

FAULT_DELAY_S = 0.25

KEY_FAULTS = frozenset(
    {
        Kind.RATE_LIMITED,
        Kind.QUOTA_EXHAUSTED,
        Kind.INVALID_CREDENTIAL,
        Kind.PERMISSION_DENIED,
        Kind.MODEL_NOT_FOUND,
    }
)
"""Kinds that another key of the same upstream may be spared."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, and how long to wait before, in seconds."""

    action: AdviceAction
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What else decides: the call's phase and whether it can be replayed, and the chain so far."""

    phase: Phase
    can_replay: bool
    provider_faults: int
    has_retry_budget: bool
    other_key_admits: bool


def advise(verdict: Verdict, situation: Situation) -> Advice:
    """The next step: never a retry once bytes reached the user, unless the caller can replay."""
    is_untouched = situation.phase in {Phase.BEFORE_SEND, Phase.BEFORE_FIRST_BYTE, Phase.COMPLETE}
    if not (is_untouched or situation.can_replay):
        return Advice(AdviceAction.STOP)
    if verdict.kind in KEY_FAULTS:
        other = situation.other_key_admits
        return Advice(AdviceAction.RETRY_OTHER_KEY if other else AdviceAction.SWITCH_MODEL)
    if verdict.kind is Kind.REGION_UNSUPPORTED:
        return Advice(AdviceAction.SWITCH_MODEL)
    if verdict.kind not in PROVIDER_FAULTS:
        return Advice(AdviceAction.STOP)
    if situation.provider_faults >= MAX_PROVIDER_FAULTS or not situation.has_retry_budget:
        return Advice(AdviceAction.SWITCH_MODEL)
    delay_s = verdict.retry_hint_s if verdict.retry_hint_s is not None else FAULT_DELAY_S
    if situation.other_key_admits:
        return Advice(AdviceAction.RETRY_OTHER_KEY, delay_s)
    return Advice(AdviceAction.RETRY_SAME_KEY, delay_s)
