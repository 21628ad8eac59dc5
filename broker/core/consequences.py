"""What a verdict means for circuits: the facts it becomes, given the lease it was reported on."""

from dataclasses import dataclass

from broker.core.admission import Permit
from broker.core.facts import CallFailed, Fact, TrialEnded
from broker.core.lease_token import LeaseClaims
from broker.core.policy import POLICIES
from broker.core.scope import Scope
from broker.core.verdict import PROVIDER_FAULTS, Verdict
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Evidence, Family, Kind, ScopeKind

_COUNTED_SCOPES = frozenset({ScopeKind.UPSTREAM, ScopeKind.UPSTREAM_PRINCIPAL})


@dataclass(frozen=True, slots=True)
class Reported:
    """A judged report: its facts are named after `report_id`, its call began `lead_s` before."""

    verdict: Verdict
    claims: LeaseClaims
    dialect: Dialect
    report_id: str
    replica: str
    lead_s: float
    now: float


def is_counted(verdict: Verdict) -> bool:
    """Is it a provider fault that its upstream's window judges by rate?"""
    return verdict.kind in PROVIDER_FAULTS and verdict.scope in _COUNTED_SCOPES


def consequences(report: Reported) -> list[Fact]:
    """The facts of one report: the circuit it blames, and the end of each trial the lease was."""
    blamed = _blamed(report)
    facts: list[Fact] = []
    if blamed is not None:
        is_trial = Permit(*blamed) in report.claims.permits
        facts.append(_failure(report, *blamed, is_trial=is_trial, evidence=report.verdict.evidence))
    for permit in report.claims.permits:
        if permit == blamed:
            continue
        if _fails_family(report.verdict, permit.family):
            failure = _failure(report, *permit, is_trial=True, evidence=Evidence.CERTAIN)
            facts.append(failure)
        else:
            facts.append(trial_end(report, permit, passed=report.verdict.kind is Kind.OK))
    return facts


def trial_end(report: Reported, permit: Permit, *, passed: bool) -> TrialEnded:
    """The end of a trial that did not fail its circuit's family."""
    return TrialEnded(
        fact_id=_fact_id(report, permit.scope, permit.family),
        provider=permit.scope.provider,
        replica=report.replica,
        lead_s=report.lead_s,
        scope=permit.scope,
        family=permit.family,
        passed=passed,
        reported_by=report.claims.principal,
    )


def hint_s(report: Reported) -> float:
    """How long the provider said the failure lasts, its quota window included; 0: no word."""
    verdict = report.verdict
    hint = verdict.retry_hint_s or 0.0
    if verdict.kind is Kind.QUOTA_EXHAUSTED and verdict.quota_window is not None:
        return max(hint, report.dialect.window_end_s(verdict.quota_window, report.now))
    return hint if verdict.kind in {Kind.QUOTA_EXHAUSTED, Kind.RATE_LIMITED} else 0.0


def _blamed(report: Reported) -> tuple[Scope, Family] | None:
    verdict = report.verdict
    policy = POLICIES.get(verdict.kind)
    reaches_nothing = verdict.scope is ScopeKind.REQUEST or verdict.missing_auth
    if policy is None or reaches_nothing or is_counted(verdict):
        return None
    if verdict.kind is Kind.INVALID_CREDENTIAL and verdict.evidence is Evidence.WEAK:
        return report.claims.scope(ScopeKind.KEY_MODEL), Family.ACCESS
    return report.claims.scope(verdict.scope), policy.family


def _fails_family(verdict: Verdict, family: Family) -> bool:
    policy = POLICIES.get(verdict.kind)
    return policy is not None and policy.family is family and not verdict.missing_auth


def _failure(
    report: Reported, scope: Scope, family: Family, *, is_trial: bool, evidence: Evidence
) -> CallFailed:
    return CallFailed(
        fact_id=_fact_id(report, scope, family),
        provider=scope.provider,
        replica=report.replica,
        lead_s=report.lead_s,
        scope=scope,
        family=family,
        kind=report.verdict.kind,
        evidence=evidence,
        hint_s=hint_s(report),
        rule=report.verdict.rule,
        reported_by=report.claims.principal,
        model=report.claims.upstream.model,
        is_trial=is_trial,
        probeable=report.dialect.probe is not None and report.dialect.probe.authenticates,
    )


def _fact_id(report: Reported, scope: Scope, family: Family) -> str:
    return f"{report.report_id}/{scope.kind}/{family}"
