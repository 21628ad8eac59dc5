"""From a chosen key to a granted lease: claims first, then the token and the books."""

import asyncio
from dataclasses import dataclass, field, replace
from random import Random

from broker.core.admission import Block
from broker.core.lease_token import LeaseClaims
from broker.core.selection import Pick
from broker.core.words import DenialReason, ScopeKind
from broker.ports.claims import Claim, Claims, Refusal
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.meter import Meter
from broker.services.acquisition import MAX_TTL_S, Grant
from broker.services.choosing import Choosing, Look
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook, LiveLease
from broker.services.pacing import Pacing
from broker.services.tokens import Tokens, member_of

PERMIT_S = 60.0
"""An unused trial permit comes back after this long."""

BUSY_S = (1.0, 3.0)
"""How long a key is left alone while another lease makes its trial."""

FULL_S = 1.0
"""How long a key without free slots is left alone at most: a release wakes it at once."""


@dataclass(frozen=True, slots=True)
class Granting:
    """Grants leases on picks."""

    keyring: Keyring
    health: HealthBook
    choosing: Choosing
    claims: Claims
    book: LeaseBook
    pacing: Pacing
    tokens: Tokens
    clock: Clock
    meter: Meter
    random: Random
    cleanups: set[asyncio.Task[None]] = field(default_factory=set)

    async def grant(self, look: Look, pick: Pick) -> Grant | None:
        """The lease on `pick`, or None when its claim was refused: then look for another key."""
        lease = self._claims_of(look, pick)
        is_degraded = self.health.is_cut_off(look.now)
        if lease.slots or lease.permits:
            repeated = self.book.repeated(lease)
            if repeated is not None and repeated.claims.revision == lease.revision:
                return self._grant_of(repeated.claims, pick, is_degraded=is_degraded, again=True)
            taken = await self._take(look, pick, lease)
            if taken is None:
                return None
            is_degraded = is_degraded or not taken
        return self._granted(look, pick, lease, is_degraded=is_degraded)

    async def _take(self, look: Look, pick: Pick, lease: LeaseClaims) -> bool | None:
        """Claim slots and permits: True when held, False when degraded, None when refused."""
        key = pick.candidate.key
        claim = Claim(
            provider=key.provider,
            member=member_of(lease),
            key_id=key.key_id,
            slots=lease.slots,
            cap=key.limits.concurrency,
            slots_until=lease.ends_at,
            permits=lease.permits,
            permits_until=look.now + PERMIT_S,
        )
        try:
            refusal = await self.claims.claim(claim, look.now)
        except StoreUnavailableError:
            return False
        except asyncio.CancelledError:
            _ = self._begin_to_give_back(claim)  # whether it was taken is unknown
            raise
        if refusal is not None:
            self.set_aside(look, pick, refusal)
            return None
        if not self.choosing.still_admits(look, pick.candidate):
            await asyncio.shield(self._begin_to_give_back(claim))
            return None
        return True

    def _begin_to_give_back(self, claim: Claim) -> asyncio.Task[None]:
        """Give a claim back, also when the caller leaves meanwhile."""
        task = asyncio.get_running_loop().create_task(self._give_back(claim))
        self.cleanups.add(task)
        task.add_done_callback(self.cleanups.discard)
        return task

    async def _give_back(self, claim: Claim) -> None:
        try:
            await self.claims.release_slots(claim.provider, claim.key_id, claim.member)
            await self.claims.release_permits(claim.permits, claim.member)
        except StoreUnavailableError:
            return  # the store frees them when they expire

    def set_aside(self, look: Look, pick: Pick, refusal: Refusal) -> None:
        """Leave the key, or the endpoint whose trial is busy, alone for a moment.

        Where one slot is free, too few for this request, the key stays there for others.
        """
        candidate = pick.candidate
        if refusal.permit is None:
            until = min(refusal.free_at, look.now + FULL_S)
            block = Block(DenialReason.AT_CAPACITY, max(until, look.now + 0.01))
        else:
            wait_s = self.random.uniform(*BUSY_S)
            family = refusal.permit.family
            block = Block(DenialReason.TRIAL_BUSY, look.now + wait_s, family)
        kinds = {ScopeKind.UPSTREAM, ScopeKind.UPSTREAM_PRINCIPAL}
        if refusal.permit is None and look.request.concurrency > 1:
            look.passed[candidate.key.key_id] = block
        elif refusal.permit is not None and refusal.permit.scope.kind in kinds:
            look.close(candidate.upstream.endpoint, block)
        elif candidate.parked is None:
            look.pool.park(candidate, block)

    def _claims_of(self, look: Look, pick: Pick) -> LeaseClaims:
        request, key, now = look.request, pick.candidate.key, look.now
        slots = 0
        if key.limits.concurrency:
            slots = 1 if pick.admission.permits else request.concurrency
        return LeaseClaims(
            uid=f"{self.random.getrandbits(64):016x}",
            key_id=key.key_id,
            revision=key.revision,
            owner=key.owner,
            account=key.account,
            provenance=key.provenance,
            upstream=pick.candidate.upstream,
            tenant=request.tenant,
            principal=look.principal,
            first_granted_at=now,
            granted_at=now,
            ends_at=now + min(request.ttl_s, MAX_TTL_S),
            request_id=request.request_id,
            attempt=request.attempt,
            slots=slots,
            faults=request.faults if look.target == request.faults_at else 0,
            tried=request.tried,
            permits=pick.admission.permits,
        )

    def _granted(self, look: Look, pick: Pick, lease: LeaseClaims, *, is_degraded: bool) -> Grant:
        candidate = pick.candidate
        key, now = candidate.key, look.now
        candidate.load.note_grant(now)
        if pick.admission.ramps:
            self.health.of(key.provider).ramps.note_grant(pick.admission.ramps, now)
        self.pacing.note_grant(key, look.request.estimated_tokens, now)
        self.book.add(LiveLease(lease, lease.permits))
        self.meter.granted(key.provider, lease.upstream.model, key.provenance)
        return self._grant_of(lease, pick, is_degraded=is_degraded)

    def _grant_of(
        self, lease: LeaseClaims, pick: Pick, *, is_degraded: bool, again: bool = False
    ) -> Grant:
        key = pick.candidate.key
        return Grant(
            lease_id=self.tokens.sign(lease),
            claims=lease,
            key=key,
            provider=self.keyring.provider(key.provider),
            provider_model=pick.candidate.provider_model,
            is_degraded=is_degraded,
            is_repeat=again,
        )

    async def renew(self, lease: LeaseClaims, ends_at: float) -> str:
        """A new lease id with a later end; the slots move along."""
        renewed = replace(lease, granted_at=self.clock.now(), ends_at=ends_at)
        if lease.slots:
            await self._extend(lease, ends_at)
        self.book.renew(lease.uid, ends_at)
        return self.tokens.sign(renewed)

    async def _extend(self, lease: LeaseClaims, ends_at: float) -> None:
        claim = Claim(
            provider=lease.upstream.provider,
            member=member_of(lease),
            key_id=lease.key_id,
            slots=lease.slots,
            slots_until=ends_at,
        )
        try:
            await self.claims.extend(claim, self.clock.now())
        except StoreUnavailableError:
            return  # the lease lives on; its slots come back sooner than it ends
