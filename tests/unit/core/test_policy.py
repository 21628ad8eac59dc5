"""The verdict policy, told again as the design tells it."""

import pytest

from broker.core.advice import KEY_FAULTS
from broker.core.policy import DAY_S, FAMILIES, HOUR_S, MINUTE_S, POLICIES, Policy
from broker.core.verdict import PROVIDER_FAULTS
from broker.core.words import Family, Kind, ScopeKind


@pytest.mark.parametrize(
    ("kind", "scope", "family", "backoff"),
    [
        (Kind.RATE_LIMITED, "key_model", "limit", (5.0, 2.0, 15 * MINUTE_S)),
        (Kind.QUOTA_EXHAUSTED, "account", "quota", (15 * MINUTE_S, 2.0, HOUR_S)),
        (Kind.INVALID_CREDENTIAL, "key", "credential", (15.0, 2.0, 6 * HOUR_S)),
        (Kind.PERMISSION_DENIED, "key_model", "access", (10 * MINUTE_S, 2.0, 6 * HOUR_S)),
        (Kind.MODEL_NOT_FOUND, "key_model", "access", (HOUR_S, 4.0, 12 * HOUR_S)),
        (Kind.OVERLOADED, "upstream", "health", (15.0, 2.0, 5 * MINUTE_S)),
        (Kind.SERVER_ERROR, "upstream", "health", (15.0, 2.0, 5 * MINUTE_S)),
        (Kind.UNREACHABLE, "upstream", "health", (15.0, 2.0, 5 * MINUTE_S)),
    ],
)
def test_each_kind_opens_its_scope_for_its_time(
    kind: Kind, scope: str, family: str, backoff: tuple[float, float, float]
) -> None:
    policy = POLICIES[kind]
    assert (policy.scope, policy.family) == (scope, family)
    assert (policy.base_s, policy.factor, policy.cap_s) == backoff


def test_every_failure_that_reaches_beyond_its_request_has_a_policy() -> None:
    assert set(POLICIES) == KEY_FAULTS | PROVIDER_FAULTS


def test_every_family_says_how_it_heals_and_how_it_ramps() -> None:
    assert set(FAMILIES) == set(Family)
    steps = {family: policy.ramp_step_s for family, policy in FAMILIES.items()}
    assert steps.pop(Family.LIMIT) == 0.25
    assert set(steps.values()) == {2.0}


@pytest.mark.parametrize("policy", POLICIES.values())
def test_backoff_never_shrinks_and_never_passes_its_cap(policy: Policy) -> None:
    waits = [policy.backoff_s(level) for level in range(100)]
    assert waits == sorted(waits)
    assert waits[0] == policy.base_s
    assert waits[-1] == policy.cap_s


def test_a_hint_is_believed_longest_for_quotas_and_not_at_all_for_credentials() -> None:
    caps = {kind: policy.hint_cap_s for kind, policy in POLICIES.items()}
    assert max(caps, key=caps.__getitem__) is Kind.QUOTA_EXHAUSTED
    assert caps[Kind.QUOTA_EXHAUSTED] >= 31 * DAY_S
    assert caps[Kind.INVALID_CREDENTIAL] == 0.0


def test_no_verdict_opens_the_scope_of_its_own_request() -> None:
    assert ScopeKind.REQUEST not in {policy.scope for policy in POLICIES.values()}
