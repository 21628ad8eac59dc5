"""One report while it is dealt with, and what it asks for next."""

from dataclasses import dataclass
from hashlib import blake2b

from broker.core.advice import Advice
from broker.core.chain import ChainId
from broker.core.consequences import is_counted
from broker.core.denial import Target
from broker.core.lease_token import LeaseClaims
from broker.core.provider import Provider
from broker.core.verdict import Verdict
from broker.core.words import AdviceAction
from broker.services.acquisition import AcquireRequest
from broker.services.principal import Principal
from broker.services.reports import NextRequest, Report

MAX_TRIED = 16
"""Keys of a chain that its lease token carries: the latest, so that a token stays a few KiB."""


@dataclass(slots=True)
class Case:
    """A report and what is known of it; times are epoch seconds of the log."""

    report: Report
    principal: Principal
    lease: LeaseClaims
    provider: Provider
    verdict: Verdict
    now: float
    started: float
    chain_id: ChainId
    faults: int

    @property
    def is_final(self) -> bool:
        """Does the gateway give up on this request with this report?"""
        return not self.report.will_retry and self.report.acquire_next is None

    @property
    def ends_in_fault(self) -> bool:
        """Did the provider fail a call that `acquire_next` would have gone on from?"""
        return self.report.acquire_next is not None and is_counted(self.verdict)

    @property
    def target(self) -> Target:
        """What the lease was for."""
        return Target(self.lease.upstream.provider, self.lease.upstream.model)

    @property
    def report_id(self) -> str:
        """The same on every replica for a repeat, so that its facts fold once."""
        outcome_id = self.report.outcome.outcome_id or repr(self.now)
        name = f"{self.principal.name}\x1f{self.lease.uid}\x1f{outcome_id}"
        return blake2b(name.encode(), digest_size=12).hexdigest()

    def next_request(self, wanted: NextRequest, advice: Advice) -> AcquireRequest:
        """The request for the next lease of the chain."""
        targets = [self.target, *wanted.fallbacks]
        if advice.action is AdviceAction.SWITCH_MODEL and wanted.fallbacks:
            targets = targets[1:]
        tried = (*self.lease.tried, self.lease.key_id)[-MAX_TRIED:]
        if advice.action is AdviceAction.RETRY_SAME_KEY:
            tried = self.lease.tried
        return AcquireRequest(
            target=targets[0],
            tenant=self.lease.tenant,
            fallbacks=tuple(targets[1:]),
            request_id=self.chain_id.request_id,
            attempt=self.lease.attempt + 1,
            excluded=wanted.excluded,
            affinity_key=wanted.affinity_key,
            ttl_s=wanted.ttl_s,
            concurrency=wanted.concurrency,
            estimated_tokens=wanted.estimated_tokens,
            tried=tried,
            faults=self.faults,
            faults_at=self.target,
        )
