"""What a report does to circuits: the one it blames, and each trial it was."""

from dataclasses import replace

import pytest

from broker.core.admission import Permit
from broker.core.consequences import Reported, consequences, hint_s, is_counted
from broker.core.facts import CallFailed, TrialEnded
from broker.core.policy import POLICIES
from broker.core.scope import upstream_scope
from broker.core.verdict import Verdict
from broker.core.verdicts.dialect import FreeProbe
from broker.core.words import Evidence, Family, Kind, QuotaWindow, ScopeKind
from tests.unit.core.given import (
    ACCOUNT,
    KEY,
    KEY_MODEL,
    LEASE,
    MODEL,
    NOW,
    PROBED,
    UNPROBED,
    UPSTREAM,
)

QUOTA_TRIAL = Permit(ACCOUNT, Family.QUOTA)
UPSTREAM_TRIAL = Permit(upstream_scope(UPSTREAM), Family.HEALTH)


def verdict(kind: Kind, scope: ScopeKind | None = None) -> Verdict:
    """A certain verdict, at the kind's default scope."""
    policy = POLICIES.get(kind)
    default = policy.scope if policy else ScopeKind.REQUEST
    return Verdict(kind, scope or default, Evidence.CERTAIN, "rule")


def report(said: Verdict, *permits: Permit) -> Reported:
    return Reported(
        verdict=said,
        claims=replace(LEASE, permits=permits),
        dialect=PROBED,
        report_id="report",
        replica="a",
        lead_s=2.0,
        now=NOW,
    )


def failures(reported: Reported) -> list[CallFailed]:
    return [fact for fact in consequences(reported) if isinstance(fact, CallFailed)]


def ends(reported: Reported) -> list[TrialEnded]:
    return [fact for fact in consequences(reported) if isinstance(fact, TrialEnded)]


# --- Blame ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        (Kind.RATE_LIMITED, KEY_MODEL),
        (Kind.QUOTA_EXHAUSTED, ACCOUNT),
        (Kind.INVALID_CREDENTIAL, KEY),
        (Kind.PERMISSION_DENIED, KEY_MODEL),
        (Kind.MODEL_NOT_FOUND, KEY_MODEL),
    ],
)
def test_a_verdict_blames_its_scope_in_its_family(kind: Kind, scope: object) -> None:
    [fact] = failures(report(verdict(kind)))
    assert (fact.scope, fact.family, fact.kind) == (scope, POLICIES[kind].family, kind)
    assert (fact.rule, fact.reported_by, fact.model) == ("rule", "gateway", MODEL)
    assert (fact.lead_s, fact.is_trial, fact.probeable) == (2.0, False, True)


@pytest.mark.parametrize(
    "kind",
    [
        Kind.OK,
        Kind.REGION_UNSUPPORTED,
        Kind.INVALID_REQUEST,
        Kind.CONTENT_POLICY,
        Kind.CANCELLED,
        Kind.UNKNOWN,
    ],
)
def test_what_is_not_the_keys_fault_changes_nothing(kind: Kind) -> None:
    assert consequences(report(verdict(kind))) == []


def test_a_rule_may_narrow_a_verdict_to_its_request() -> None:
    said = verdict(Kind.RATE_LIMITED, ScopeKind.REQUEST)
    assert consequences(report(said)) == []


def test_a_missing_auth_header_is_the_gateways_bug() -> None:
    said = replace(verdict(Kind.INVALID_CREDENTIAL), missing_auth=True)
    assert consequences(report(said)) == []
    [end] = ends(report(said, Permit(KEY, Family.CREDENTIAL)))
    assert not end.passed


def test_weak_credential_evidence_stays_on_the_model() -> None:
    said = replace(verdict(Kind.INVALID_CREDENTIAL), evidence=Evidence.WEAK)
    [fact] = failures(report(said))
    assert (fact.scope, fact.family, fact.evidence) == (KEY_MODEL, Family.ACCESS, Evidence.WEAK)


@pytest.mark.parametrize("kind", [Kind.OVERLOADED, Kind.SERVER_ERROR, Kind.UNREACHABLE])
def test_provider_faults_are_left_to_the_window_of_their_upstream(kind: Kind) -> None:
    assert is_counted(verdict(kind))
    assert consequences(report(verdict(kind))) == []
    assert not is_counted(verdict(kind, ScopeKind.KEY))
    [fact] = failures(report(verdict(kind, ScopeKind.KEY)))
    assert (fact.scope, fact.family) == (KEY, Family.HEALTH)


def test_a_key_fault_is_not_counted_against_the_upstream() -> None:
    assert not is_counted(verdict(Kind.RATE_LIMITED))


def test_a_dialect_without_an_authenticating_probe_is_not_probeable() -> None:
    listing = replace(PROBED, probe=FreeProbe("/models", authenticates=False))
    for dialect in (UNPROBED, listing):
        [fact] = failures(replace(report(verdict(Kind.INVALID_CREDENTIAL)), dialect=dialect))
        assert not fact.probeable


# --- Trials ---------------------------------------------------------------------------------


def test_a_success_passes_every_trial_of_its_lease() -> None:
    facts = ends(report(verdict(Kind.OK), QUOTA_TRIAL, UPSTREAM_TRIAL))
    assert [(end.scope, end.family) for end in facts] == [QUOTA_TRIAL, UPSTREAM_TRIAL]
    assert all(end.passed for end in facts)
    assert len({end.fact_id for end in facts}) == 2


def test_a_failure_of_the_same_family_fails_the_trial_and_returns_the_others() -> None:
    facts = consequences(report(verdict(Kind.QUOTA_EXHAUSTED), QUOTA_TRIAL, UPSTREAM_TRIAL))
    [fact, end] = facts
    assert isinstance(fact, CallFailed)
    assert isinstance(end, TrialEnded)
    assert (fact.scope, fact.family, fact.is_trial) == (*QUOTA_TRIAL, True)
    assert (end.scope, end.family, end.passed) == (*UPSTREAM_TRIAL, False)


def test_a_failure_of_another_family_returns_the_trial_and_opens_its_own_circuit() -> None:
    [fact, end] = consequences(report(verdict(Kind.RATE_LIMITED), QUOTA_TRIAL))
    assert isinstance(fact, CallFailed)
    assert isinstance(end, TrialEnded)
    assert (fact.family, fact.is_trial, end.passed) == (Family.LIMIT, False, False)


def test_a_trial_fails_by_its_family_also_when_the_verdict_blames_elsewhere() -> None:
    [fact] = failures(report(verdict(Kind.SERVER_ERROR), UPSTREAM_TRIAL))
    assert (fact.scope, fact.family, fact.is_trial) == (*UPSTREAM_TRIAL, True)


def test_a_vague_unauthorized_fails_a_credential_trial_for_certain() -> None:
    said = replace(verdict(Kind.INVALID_CREDENTIAL), evidence=Evidence.WEAK)
    vague, lost = failures(report(said, Permit(KEY, Family.CREDENTIAL)))
    assert (vague.scope, vague.is_trial) == (KEY_MODEL, False)
    assert (lost.scope, lost.is_trial, lost.evidence) == (KEY, True, Evidence.CERTAIN)


def test_one_report_names_each_of_its_facts_once() -> None:
    """A report that is told again folds once, since its facts have the same ids."""
    reported = report(verdict(Kind.QUOTA_EXHAUSTED), QUOTA_TRIAL, UPSTREAM_TRIAL)
    ids = [fact.fact_id for fact in consequences(reported)]
    assert ids == ["report/account/quota", "report/upstream/health"]
    assert ids == [fact.fact_id for fact in consequences(reported)]


# --- Hints ----------------------------------------------------------------------------------


def test_the_providers_word_counts_for_limits_and_quotas_only() -> None:
    for kind in POLICIES:
        said = replace(verdict(kind), retry_hint_s=7.0)
        expected = 7.0 if kind in {Kind.RATE_LIMITED, Kind.QUOTA_EXHAUSTED} else 0.0
        assert hint_s(report(said)) == expected


def test_a_quota_window_counts_to_its_end_unless_the_hint_is_longer() -> None:
    said = replace(verdict(Kind.QUOTA_EXHAUSTED), quota_window=QuotaWindow.HOUR)
    window_s = PROBED.window_end_s(QuotaWindow.HOUR, NOW)
    assert hint_s(report(said)) == window_s
    assert hint_s(report(replace(said, retry_hint_s=7200.0))) == 7200.0
    assert hint_s(report(verdict(Kind.QUOTA_EXHAUSTED))) == 0.0
