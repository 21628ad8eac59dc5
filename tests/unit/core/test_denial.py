"""A denial says why, for how long, and what to do."""

import pytest

from broker.core.admission import Block
from broker.core.circuit import FOREVER
from broker.core.denial import DENIALS, Denial, Target, deny, precedence
from broker.core.words import DenialAction, DenialReason
from tests.unit.core.given import MODEL, NOW, PROVIDER

TARGET = Target(PROVIDER, MODEL)
OTHER = (Target("anthropic", "claude-sonnet-4"),)

PERMANENT = {
    DenialReason.NO_KEYS,
    DenialReason.MODEL_NOT_ALLOWED,
    DenialReason.ALL_DISABLED,
    DenialReason.QUARANTINED,
    DenialReason.TENANT_KEY_UNUSABLE,
    DenialReason.RESTRICTED,
    DenialReason.ALL_TRIED,
}
"""Reasons that carry no retry_delay."""


def blocked(reason: DenialReason, until: float = NOW + 5.0) -> Denial:
    return deny(Block(reason, until), TARGET, NOW)


@pytest.mark.parametrize("reason", DenialReason)
def test_every_reason_has_an_action_and_words_to_act_on(reason: DenialReason) -> None:
    denial = blocked(reason)
    assert denial.action is DENIALS[reason].action
    assert denial.message.startswith("openai/gpt-4o: ")
    assert denial.message.endswith(DENIALS[reason].advice)


@pytest.mark.parametrize("reason", DenialReason)
def test_only_what_waiting_helps_carries_a_delay(reason: DenialReason) -> None:
    assert blocked(reason).retry_delay_s == (None if reason in PERMANENT else 5.0)


def test_a_delay_is_never_negative_and_unknown_where_only_an_event_helps() -> None:
    assert blocked(DenialReason.COOLING_DOWN, NOW - 1.0).retry_delay_s == 0.0
    assert blocked(DenialReason.EXHAUSTED, FOREVER).retry_delay_s is None


def test_a_denial_carries_counts_and_where_to_get_help() -> None:
    denial = deny(
        Block(DenialReason.QUARANTINED, FOREVER),
        TARGET,
        NOW,
        keys_by_state={"quarantined": 6},
        help_url="https://help.test",
    )
    assert denial.keys_by_state == {"quarantined": 6}
    assert denial.help_url == "https://help.test"
    assert blocked(DenialReason.NO_KEYS).keys_by_state == {}


def test_of_a_mixed_pool_the_reason_that_heals_soonest_wins() -> None:
    blocks = [
        Block(DenialReason.QUARANTINED, NOW + 1.0),
        Block(DenialReason.EXHAUSTED, NOW + 60.0),
        Block(DenialReason.COOLING_DOWN, NOW + 2.0),
        Block(DenialReason.RESTRICTED, NOW + 600.0),
    ]
    assert precedence(blocks) == Block(DenialReason.COOLING_DOWN, NOW + 2.0)
    assert precedence(blocks[:2]).reason is DenialReason.EXHAUSTED


def test_what_no_wait_ends_is_ranked_by_what_a_caller_can_do() -> None:
    ranked = [
        DenialReason.RESTRICTED,
        DenialReason.ALL_TRIED,
        DenialReason.QUARANTINED,
        DenialReason.TENANT_KEY_UNUSABLE,
        DenialReason.ALL_DISABLED,
        DenialReason.MODEL_NOT_ALLOWED,
        DenialReason.NO_KEYS,
    ]
    blocks = [Block(reason, FOREVER) for reason in reversed(ranked)]
    for expected in ranked:
        assert precedence(blocks).reason is expected
        blocks.remove(precedence(blocks))


def test_alternatives_change_the_action_only_when_no_wait_is_known() -> None:
    known, unknown = blocked(DenialReason.COOLING_DOWN), blocked(DenialReason.AT_CAPACITY, FOREVER)
    assert known.offering(OTHER).action is DenialAction.RETRY_LATER
    assert unknown.offering(OTHER).action is DenialAction.SWITCH_MODEL
    assert unknown.offering(()).action is DenialAction.RETRY_LATER
    assert blocked(DenialReason.QUARANTINED).offering(OTHER).action is DenialAction.FIX_KEYS
    assert known.offering(OTHER).alternatives == OTHER
