"""Acquire, renew and release: the right to use one key for one upstream until it ends."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.core.admission import Block
from broker.core.chain import Chain, ChainId
from broker.core.denial import Denial, Target, deny
from broker.core.lease_token import LeaseClaims
from broker.core.scope import Upstream
from broker.core.words import DenialReason, Family, LeaseState, ScopeKind, State
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.meter import Meter
from broker.services.acquisition import MAX_LIFE_S, MAX_TTL_S, AcquireRequest, Grant
from broker.services.alternatives import Alternatives
from broker.services.choosing import Choosing, Look
from broker.services.ending import Ending
from broker.services.errors import (
    KeyUnusableError,
    LeaseEndedError,
    LeaseExpiredError,
    SourceStaleError,
)
from broker.services.granting import Granting
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.marks import Marks
from broker.services.pacing import Pacing
from broker.services.principal import Principal
from broker.services.probing import Probing
from broker.services.routing import Routing
from broker.services.tenants import Tenants
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage

RETRY_BUDGET_WAIT_S = 1.0
"""How long a chain waits when the retry budget of its upstream is spent."""

REPORT_GRACE_S = 600.0
"""A report up to this long after the lease's end still teaches."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """A renewed lease: its new id, and its new end in epoch seconds."""

    lease_id: str
    ends_at: float


@dataclass(frozen=True, slots=True)
class Leasing:
    """The use cases of a lease before and after the provider call."""

    keyring: Keyring
    health: HealthBook
    choosing: Choosing
    tenants: Tenants
    routing: Routing
    probing: Probing
    granting: Granting
    ending: Ending
    alternatives: Alternatives
    upstreams: Upstreams
    book: LeaseBook
    marks: Marks
    pacing: Pacing
    tokens: Tokens
    usage: Usage
    journal: Journal
    clock: Clock
    meter: Meter

    async def acquire(self, principal: Principal, request: AcquireRequest) -> Grant | Denial:
        """A lease on the first upstream that has a key, or why there is none.

        Raises ProviderUnknownError for an unknown provider of the target or a fallback, and
        TenantForbiddenError; StoreUnavailableError where the tenant must be read and cannot be;
        SourceStaleError where the keys that would serve the target are stale, and no fallback does.
        """
        principal.check_tenant(request.tenant)
        targets = (request.target, *request.fallbacks)
        for target in targets:
            self.keyring.provider(target.provider)
        began = self.clock.now()
        block = self.pacing.take_quota(principal.name, request.tenant, began)
        if block is not None:
            return self._denied(principal, request, deny(block, request.target, began), began)
        if not request.tenant:
            return await self._acquire(principal, request, targets, began)
        async with self.tenants.using(request.tenant):
            return await self._acquire(principal, request, targets, began)

    async def _acquire(
        self,
        principal: Principal,
        request: AcquireRequest,
        targets: tuple[Target, ...],
        began: float,
    ) -> Grant | Denial:
        first: Denial | SourceStaleError | None = None
        for target in targets:
            answer = await self._acquire_at(principal, request, target)
            if isinstance(answer, Grant):
                self.meter.acquired_in(self.clock.now() - began)
                self.journal.granted(answer.claims)
                return answer
            first = first or answer
        assert first is not None  # noqa: S101 - there is always a target
        if isinstance(first, SourceStaleError):
            raise first
        now = self.clock.now()
        found = self.alternatives.of(targets, principal.name, request.tenant, now)
        return self._denied(principal, request, first.offering(found), began)

    async def renew(self, principal: Principal, lease_id: str, ttl_s: float) -> Renewed:
        """Extend a lease; raises LeaseUnknown-, LeaseEnded-, LeaseExpired- or KeyUnusableError.

        StoreUnavailableError where the tenant that owns the key must be read and cannot be: its key
        may be gone.
        """
        lease = self.tokens.open(lease_id, principal)
        async with self.tenants.using(lease.owner):
            return await self._renew(lease, ttl_s)

    async def _renew(self, lease: LeaseClaims, ttl_s: float) -> Renewed:
        now = self.clock.now()
        if self.marks.is_revoked(lease):
            raise KeyUnusableError(lease.key_id, "revoked")
        if self.book.has_ended(lease.uid):
            raise LeaseEndedError
        live = self.book.find(lease.uid)
        current = live.claims if live else lease
        last = lease.first_granted_at + MAX_LIFE_S
        if current.ends_at <= now or last <= now:
            raise LeaseExpiredError(datetime.fromtimestamp(current.ends_at, UTC).isoformat())
        cause = self.unusable_cause(lease, now)
        if cause:
            raise KeyUnusableError(lease.key_id, cause)
        ends_at = max(min(now + min(ttl_s, MAX_TTL_S), last), current.ends_at)
        renewed_id = await self.granting.renew(lease, ends_at)
        return Renewed(renewed_id, ends_at)

    async def release(self, principal: Principal, lease_id: str) -> None:
        """End an unused lease; one that has ended already stays so. Raises LeaseUnknownError."""
        lease = self.tokens.open(lease_id, principal)
        is_live = self.book.find(lease.uid) is not None
        if self.book.has_ended(lease.uid) or (not is_live and lease.ends_at <= self.clock.now()):
            return
        await self.ending.return_trials(lease, self.book.permits(lease))
        await self.ending.end(lease, "released")

    async def abandon(self, grant: Grant) -> None:
        """Take back a grant that never reached its caller."""
        await self.ending.return_trials(grant.claims, self.book.permits(grant.claims))
        await self.ending.end(grant.claims, "released")

    def unusable_cause(self, lease: LeaseClaims, now: float) -> str:
        """Why a holder must drop the key: quarantined, disabled, revoked or removed; else ""."""
        if self.marks.disabled_key(lease.key_id):
            return "disabled"
        if self.marks.is_revoked(lease):
            return "revoked"
        if not self.is_known(lease):
            return "removed"  # also a rotated secret: nothing is known of its health any more
        record = self.health.circuit(lease.scope(ScopeKind.KEY), Family.CREDENTIAL, now)
        if record and record.standing(now).state in {State.OPEN, State.HALF_OPEN}:
            return "quarantined"
        return ""

    def is_known(self, lease: LeaseClaims) -> bool:
        """Is the lease's revision still there; a tenant's that is not at hand is taken to be."""
        if lease.owner and self.tenants.was_deleted(lease.key_id, lease.first_granted_at):
            return False
        if self.keyring.holds(lease.key_id, lease.revision):
            return True
        return bool(lease.owner) and self.tenants.find(lease.owner) is None

    def state(self, lease: LeaseClaims, now: float) -> LeaseState:
        """What the holder may still do with a lease."""
        if self.unusable_cause(lease, now):
            return LeaseState.KEY_UNUSABLE
        live = self.book.find(lease.uid)
        ends_at = live.claims.ends_at if live else lease.ends_at
        if ends_at <= now or self.book.has_ended(lease.uid):
            return LeaseState.ENDED
        return LeaseState.LIVE

    async def _acquire_at(
        self, principal: Principal, request: AcquireRequest, target: Target
    ) -> Grant | Denial | SourceStaleError:
        """What one upstream answers; an error is raised only when no fallback serves either."""
        chain_id = ChainId(principal.name, request.tenant, request.request_id)
        chain = self.upstreams.chains.find(chain_id, self.clock.now())
        looks: list[Look] = []
        for look in self.routing.looks(target, principal.name, request):
            looks.append(look)
            answer = await self._lease_from(look, chain_id, chain)
            if isinstance(answer, Grant) and not await self._may_keep(look, answer):
                return await self._acquire_at(principal, request, target)
            if answer is not None:
                return answer
        for look in looks:
            self._note_wanted(look)
        return self.routing.stale(looks) or self.routing.denial(looks)

    async def _may_keep(self, look: Look, grant: Grant) -> bool:
        """Does the policy still allow it: it may have been changed while a claim was under way."""
        if not look.request.tenant:
            return True
        try:
            is_allowed = self.routing.allows(look)
        except StoreUnavailableError:
            await asyncio.shield(self.abandon(grant))
            raise
        if not is_allowed:
            await asyncio.shield(self.abandon(grant))
        return is_allowed

    async def _lease_from(
        self, look: Look, chain_id: ChainId, chain: Chain | None
    ) -> Grant | Denial | None:
        """A lease on a key of one pool, or None when it has nothing."""
        now = look.now
        while (pick := self.choosing.pick(look)) is not None:
            upstream = pick.candidate.upstream
            faults = earlier_faults(upstream, look.request, chain)
            if self.upstreams.forbids_retry(upstream, faults, now):
                block = Block(DenialReason.UPSTREAM_OPEN, now + RETRY_BUDGET_WAIT_S)
                return deny(block, look.target, now)
            grant = await self.granting.grant(look, pick)
            if grant is None:
                continue
            budget = self.upstreams.retries(upstream)
            (budget.note_retry if faults else budget.note_request)(now)
            if chain is not None:
                self._continue_chain(chain_id, grant)
            self.usage.note(grant.claims, now)
            return grant
        return None

    def _note_wanted(self, look: Look) -> None:
        """A tenant's quarantined keys are worth a probe now that somebody has asked for them."""
        if look.owner:
            for candidate in look.pool:
                if candidate.parked and candidate.parked.reason is DenialReason.QUARANTINED:
                    self.probing.note_wanted(candidate.key.key_id)

    def _continue_chain(self, chain_id: ChainId, grant: Grant) -> None:
        """A fault counted at this upstream was not final; one at another upstream is.

        Waits for nothing: a caller cancelled here would leave a lease behind that nobody knows.
        """
        upstream, now = grant.claims.upstream, self.clock.now()
        self.upstreams.taken_back(upstream, chain_id, now)
        tripped = self.upstreams.abandoned(chain_id, now, at_other_than=upstream)
        if tripped is not None:
            self.health.post([tripped])

    def _denied(
        self, principal: Principal, request: AcquireRequest, denial: Denial, began: float
    ) -> Denial:
        self.meter.denied(request.target.provider, denial.reason)
        self.meter.acquired_in(self.clock.now() - began)
        self.journal.denied(principal.name, request.tenant, request.target, denial)
        return denial


def earlier_faults(upstream: Upstream, request: AcquireRequest, chain: Chain | None) -> int:
    """How often the provider failed this request at the upstream: another lease is a retry."""
    is_same = request.faults_at == Target(upstream.provider, upstream.model)
    told = request.faults if is_same else 0
    seen = chain.faults if chain is not None and chain.upstream == upstream else 0
    return max(told, seen)
