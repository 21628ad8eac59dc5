"""A denial is an answer: why no key can be leased, when that may change, what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from broker.core.admission import Block
from broker.core.circuit import FOREVER
from broker.core.words import DenialAction, DenialReason

_NO_COUNTS: Mapping[str, int] = MappingProxyType({})


class Target(NamedTuple):
    """What a caller asks a key for."""

    provider: str
    model: str


class DenialRule(NamedTuple):
    """What a reason means for the caller: the action, and whether waiting is worth a number."""

    action: DenialAction
    advice: str
    has_wait: bool


DENIALS: Mapping[DenialReason, DenialRule] = MappingProxyType(
    {
        DenialReason.NO_KEYS: DenialRule(
            DenialAction.FIX_CONFIGURATION, "configure a key for this provider", has_wait=False
        ),
        DenialReason.MODEL_NOT_ALLOWED: DenialRule(
            DenialAction.FIX_CONFIGURATION,
            "allow the model on a key, or ask for another",
            has_wait=False,
        ),
        DenialReason.ALL_DISABLED: DenialRule(
            DenialAction.FIX_CONFIGURATION,
            "an operator disabled it: EnableKey or EnableUpstream undoes that",
            has_wait=False,
        ),
        DenialReason.COOLING_DOWN: DenialRule(
            DenialAction.RETRY_LATER, "wait for retry_delay, or take an alternative", has_wait=True
        ),
        DenialReason.AT_CAPACITY: DenialRule(
            DenialAction.RETRY_LATER, "wait for retry_delay, or take an alternative", has_wait=True
        ),
        DenialReason.TRIAL_BUSY: DenialRule(
            DenialAction.RETRY_LATER,
            "a trial is under way: ask again after retry_delay",
            has_wait=True,
        ),
        DenialReason.LEASE_QUOTA: DenialRule(
            DenialAction.RETRY_LATER,
            "slow down: the lease quota of the caller is used up",
            has_wait=True,
        ),
        DenialReason.EXHAUSTED: DenialRule(
            DenialAction.SWITCH_MODEL,
            "the quota is used up: take an alternative, or top up",
            has_wait=True,
        ),
        DenialReason.QUARANTINED: DenialRule(
            DenialAction.FIX_KEYS,
            "the provider rejects the key: replace or restore it",
            has_wait=False,
        ),
        DenialReason.TENANT_KEY_UNUSABLE: DenialRule(
            DenialAction.FIX_KEYS, "the tenant's own key cannot be used: replace it", has_wait=False
        ),
        DenialReason.RESTRICTED: DenialRule(
            DenialAction.SWITCH_MODEL, "the keys have no access to this model", has_wait=False
        ),
        DenialReason.UPSTREAM_OPEN: DenialRule(
            DenialAction.SWITCH_MODEL, "the provider fails: take an alternative", has_wait=True
        ),
        DenialReason.ALL_TRIED: DenialRule(
            DenialAction.SWITCH_MODEL, "every key was tried for this request", has_wait=False
        ),
    }
)

_LASTING = (
    DenialReason.ALL_TRIED,
    DenialReason.QUARANTINED,
    DenialReason.TENANT_KEY_UNUSABLE,
    DenialReason.ALL_DISABLED,
    DenialReason.MODEL_NOT_ALLOWED,
    DenialReason.NO_KEYS,
)
"""Reasons that no wait ends, from the one a caller can do most about to the one it can do least."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why nothing was leased; `retry_delay_s` is None where no time is known."""

    reason: DenialReason
    message: str
    retry_delay_s: float | None
    action: DenialAction
    alternatives: tuple[Target, ...] = ()
    keys_by_state: Mapping[str, int] = field(default_factory=lambda: _NO_COUNTS)
    help_url: str = ""

    def offering(self, alternatives: tuple[Target, ...]) -> "Denial":
        """The same denial with upstreams that could be leased right now."""
        retries = self.action is DenialAction.RETRY_LATER
        switches = retries and bool(alternatives) and self.retry_delay_s is None
        action = DenialAction.SWITCH_MODEL if switches else self.action
        return replace(self, alternatives=alternatives, action=action)


def precedence(blocks: list[Block]) -> Block:
    """The block to report of a mixed pool: what heals soonest, else what can best be acted on."""
    return min(blocks, key=_rank)


def deny(
    block: Block,
    target: Target,
    now: float,
    *,
    keys_by_state: Mapping[str, int] = _NO_COUNTS,
    help_url: str = "",
) -> Denial:
    """The denial that a block amounts to at `now`."""
    rule = DENIALS[block.reason]
    wait_s = max(block.until - now, 0.0) if rule.has_wait and block.until < FOREVER else None
    subject = f"{target.provider}/{target.model}"
    message = f"{subject}: {block.reason.replace('_', ' ').lower()}; {rule.advice}"
    return Denial(block.reason, message, wait_s, rule.action, (), keys_by_state, help_url)


def _rank(block: Block) -> tuple[int, float]:
    if block.reason in _LASTING:
        return 1 + _LASTING.index(block.reason), 0.0
    return 0, block.until
