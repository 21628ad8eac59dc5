"""Outcomes: what a reported call meant, what follows for everybody, what to do next."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from broker.core.advice import Advice, Situation, advise
from broker.core.chain import ChainId
from broker.core.consequences import Reported, consequences, is_counted
from broker.core.denial import Denial
from broker.core.facts import CallFailed, Fact, TrialEnded
from broker.core.lease_token import LeaseClaims
from broker.core.verdicts.classifier import classify, headroom
from broker.core.words import (
    AdviceAction,
    Kind,
)
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.meter import Meter
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.case import Case
from broker.services.choosing import Choosing
from broker.services.ending import Ending
from broker.services.errors import LeaseExpiredError
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.leasing import REPORT_GRACE_S, Leasing
from broker.services.principal import Principal
from broker.services.probing import Probing
from broker.services.reports import Answer, Answers, Report, check_consistent
from broker.services.rotating import Rotating
from broker.services.routing import Routing
from broker.services.tenants import Tenants
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage

TENANT_WAIT_S = 0.5
"""How long a report waits for its tenant to be read: what it teaches must not come too late, nor go
with a caller who waits no longer. Without the tenant it is judged all the same."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The use cases of a lease after the provider call."""

    keyring: Keyring
    health: HealthBook
    leasing: Leasing
    ending: Ending
    choosing: Choosing
    tenants: Tenants
    routing: Routing
    upstreams: Upstreams
    probing: Probing
    rotating: Rotating
    book: LeaseBook
    tokens: Tokens
    usage: Usage
    journal: Journal
    clock: Clock
    meter: Meter
    answers: Answers = field(default_factory=Answers)

    async def report(self, principal: Principal, report: Report) -> Answer:
        """Judge an outcome, let everybody know, end the lease, advise.

        Raises ContradictionError, LeaseUnknownError, LeaseExpiredError, and for `acquire_next`
        what Leasing.acquire raises.
        """
        check_consistent(report)
        for target in report.acquire_next.fallbacks if report.acquire_next else ():
            self.keyring.provider(target.provider)
        lease = self.tokens.open(report.lease_id, principal)
        now = self.clock.now()
        outcome_id = report.outcome.outcome_id
        if not outcome_id:
            return await self._judge(principal, report, lease, now)
        while (known := self.answers.find(lease.uid, outcome_id, now)) is not None:
            await asyncio.wait({known})
            if not known.cancelled():
                return known.result().repeated()
        promised: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.answers.keep(lease.uid, outcome_id, now, promised)
        try:
            answer = await self._judge(principal, report, lease, now)
        except BaseException:
            promised.cancel()  # a repeat is judged anew
            raise
        promised.set_result(answer)
        self.answers.settle(lease.uid, outcome_id, answer)
        return answer

    async def _judge(
        self, principal: Principal, report: Report, lease: LeaseClaims, now: float
    ) -> Answer:
        live = self.book.find(lease.uid)
        ends_at = live.claims.ends_at if live else lease.ends_at
        if now > ends_at + REPORT_GRACE_S:
            raise LeaseExpiredError(datetime.fromtimestamp(ends_at, UTC).isoformat())
        async with self.tenants.using_if_possible(lease.tenant, TENANT_WAIT_S):
            return await self._deal_with(self._open(principal, report, lease, now))

    async def take_back(self, principal: Principal, report: Report, grant: Grant) -> None:
        """An answer with a lease never reached its caller: a repeat is judged anew."""
        lease = self.tokens.open(report.lease_id, principal)
        self.answers.forget(lease.uid, report.outcome.outcome_id)
        await self.leasing.abandon(grant)

    async def served_from_cache(self, provider: str, model: str, hits: int) -> None:
        """A gateway's cache answered requests; raises ProviderUnknownError."""
        self.keyring.provider(provider)
        self.meter.served_from_cache(provider, model, hits)

    def _open(self, principal: Principal, report: Report, lease: LeaseClaims, now: float) -> Case:
        outcome = report.outcome
        provider = self.keyring.provider(lease.upstream.provider)
        started = lease.first_granted_at
        if outcome.started_ago_s is not None:
            started = max(now - outcome.started_ago_s, started)
        ended_at = self.book.ended_at(lease.uid)
        if ended_at is not None:
            started = min(started, ended_at)  # nobody calls with a lease that has ended
        live = self.book.find(lease.uid)
        is_held = report.keep_lease or (live is not None and live.kept)
        request_id = outcome.request_id or ("" if is_held else lease.request_id or lease.uid)
        return Case(
            report=report,
            principal=principal,
            lease=lease,
            provider=provider,
            verdict=classify(provider.dialect, outcome),
            now=now,
            started=min(started, now),
            chain_id=ChainId(principal.name, lease.tenant, request_id),
            faults=lease.faults,
        )

    async def _deal_with(self, case: Case) -> Answer:
        self._tell(case)
        try:
            await self._learn(case)
        finally:  # also when the caller leaves: what the lease held must come back
            await self._settle(case)
        advice = self._advise(case)
        follow_up = await self._follow_up(case, advice)
        if isinstance(follow_up, Denial) or (follow_up is None and case.ends_in_fault):
            await self._abandon(case)
        state = self.leasing.state(case.lease, self.clock.now())
        return Answer(case.verdict, advice, state, follow_up)

    async def _learn(self, case: Case) -> None:
        """Turn the verdict into facts and counts."""
        if self.leasing.marks.is_revoked(case.lease):
            await self.ending.return_trials(case.lease, self.book.permits(case.lease))
            return  # whoever lost the right to the key has lost the right to speak of it
        verdict = case.verdict
        permits = self.book.permits(case.lease)
        if verdict.missing_auth:
            self.probing.ask(case.lease.key_id)
        # A fault at the upstream that the request has left is final, however it goes on here.
        upstream = case.lease.upstream
        left = self.upstreams.abandoned(case.chain_id, case.now, at_other_than=upstream)
        if verdict.kind is Kind.OK:
            self._note_success(case)
            if left is None and not permits:
                return
        facts = self._consequences(case, replace(case.lease, permits=permits))
        facts += [tripped for tripped in (left, self._count(case)) if tripped is not None]
        changes = await self.health.submit(facts)
        self.journal.judged(case.lease, verdict, changes)

    def _consequences(self, case: Case, lease: LeaseClaims) -> list[Fact]:
        reported = Reported(
            verdict=case.verdict,
            claims=lease,
            dialect=case.provider.dialect,
            report_id=case.report_id,
            replica=self.health.replica,
            lead_s=case.now - case.started,
            now=case.now,
        )
        return [fact for fact in consequences(reported) if self._still_matters(fact, lease)]

    def _count(self, case: Case) -> CallFailed | None:
        """Count what the upstream's window counts; the fact, if that trips its circuit."""
        upstream = case.lease.upstream
        if is_counted(case.verdict):
            case.faults, tripped = self.upstreams.faulted(
                upstream,
                case.chain_id,
                case.verdict.kind,
                case.started,
                case.now,
                report_id=case.report_id,
                earlier_faults=case.faults,
                is_final=case.is_final,
            )
            return tripped
        if case.verdict.kind is Kind.CANCELLED:
            return self.upstreams.cancelled(
                upstream, case.chain_id, case.started, case.now, earlier_faults=case.faults
            )
        return None

    def _still_matters(self, fact: Fact, lease: LeaseClaims) -> bool:
        """Is the fact about something that exists: a retired revision keeps no health."""
        scope = fact.scope if isinstance(fact, CallFailed | TrialEnded) else None
        if scope is None or not scope.key_id:
            return True
        return self.leasing.is_known(lease)

    def _note_success(self, case: Case) -> None:
        upstream = case.lease.upstream
        if not case.report.outcome.interim:
            self.upstreams.succeeded(upstream, case.chain_id, case.started, case.now)
        self.keyring.models.note_worked(upstream.provider, upstream.model, case.lease.owner)
        self.usage.note_success(case.lease, case.now)
        self.rotating.note_success(case.lease.key_id, case.lease.revision)
        share = headroom(case.provider.dialect, case.report.outcome.headers)
        if share is not None and self.keyring.find(case.lease.key_id) is not None:
            self.keyring.load(case.lease.key_id).note_headroom(share, case.now)

    async def _settle(self, case: Case) -> None:
        """End the lease, unless it is held; a trial cannot be, and its permits come back."""
        if case.report.outcome.interim:
            await self.ending.end_permits(case.lease, self.book.permits(case.lease))
            return
        is_held = case.report.keep_lease and not case.lease.is_trial
        if is_held:
            live = self.book.find(case.lease.uid)
            if live is not None:
                live.kept = True
            return
        await self.ending.end(case.lease, "reported")

    def _advise(self, case: Case) -> Advice:
        upstream = case.lease.upstream
        if case.verdict.kind is Kind.OK:
            return Advice(AdviceAction.STOP)
        tried = (*case.lease.tried, case.lease.key_id)
        request = AcquireRequest(case.target, case.lease.tenant, tried=tried)
        situation = Situation(
            phase=case.report.outcome.phase,
            can_replay=case.report.can_replay,
            provider_faults=case.faults,
            has_retry_budget=self.upstreams.retries(upstream).has_left(case.now),
            other_key_admits=self._is_leasable(case, request),
        )
        return advise(case.verdict, situation)

    def _is_leasable(self, case: Case, request: AcquireRequest) -> bool:
        """Would another key serve the request; a tenant that is not at hand has none."""
        try:
            looks = self.routing.looks(case.target, case.principal.name, request)
            return any(self.choosing.pick(look) is not None for look in looks)
        except StoreUnavailableError:
            return False

    async def _follow_up(self, case: Case, advice: Advice) -> Grant | Denial | None:
        wanted = case.report.acquire_next
        if wanted is None or advice.action is AdviceAction.STOP:
            return None
        request = case.next_request(wanted, advice)
        return await self.leasing.acquire(case.principal, request)

    async def _abandon(self, case: Case) -> None:
        tripped = self.upstreams.abandoned(case.chain_id, case.now)
        if tripped is not None:
            await self.health.submit([tripped])

    def _tell(self, case: Case) -> None:
        upstream, verdict = case.lease.upstream, case.verdict
        self.meter.judged(upstream.provider, upstream.model, verdict.kind)
        if verdict.kind is Kind.UNKNOWN:
            status = case.report.outcome.http_status or 0
            self.meter.judged_unknown(upstream.provider, status)
            self.journal.unrecognised(case.lease, case.provider.dialect, case.report.outcome)
        if case.is_final and not case.report.outcome.interim:
            self.meter.tried_keys(len(case.lease.tried) + 1)
