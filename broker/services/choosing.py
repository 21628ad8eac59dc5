"""Which key of one upstream, now: every filter in its order, for real and for explanations."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from broker.core.admission import FREE, Admission, Block, upstream_scopes
from broker.core.circuit import FOREVER
from broker.core.denial import Denial, Target, deny, precedence
from broker.core.pool import Candidate, Pool
from broker.core.scope import Upstream
from broker.core.selection import Pick, choose
from broker.core.words import DenialReason
from broker.services.acquisition import AcquireRequest
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.pacing import Pacing


@dataclass(slots=True)
class Look:
    """One look at an upstream's pool for one caller: what its endpoints said is asked once.

    `owner` is whose pool it is, "" for system keys. `passed` are keys that have no room for this
    request, though they may have for others.
    """

    target: Target
    principal: str
    request: AcquireRequest
    pool: Pool
    now: float
    endpoints: dict[str, Admission]
    excluded: frozenset[str]
    owner: str = ""
    passed: dict[str, Block] = field(default_factory=dict)

    @property
    def barred(self) -> Collection[str]:
        """The keys that this look must not find."""
        return self.excluded | self.passed.keys() if self.passed else self.excluded

    def close(self, endpoint: str, block: Block) -> None:
        """Refuse an endpoint for this caller."""
        self.endpoints[endpoint] = Admission(block=block)

    def closed(self) -> dict[str, Block]:
        """The endpoints that refuse this caller."""
        return {
            endpoint: admission.block
            for endpoint, admission in self.endpoints.items()
            if admission.block is not None
        }


class Choosing:
    """Applies the filters to a pool."""

    def __init__(
        self, keyring: Keyring, health: HealthBook, marks: Marks, pacing: Pacing, random: Random
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._pacing = pacing
        self._random = random

    def look(
        self, target: Target, principal: str, request: AcquireRequest, now: float, owner: str = ""
    ) -> Look:
        """Begin to look at an owner's pool for a target; raises ProviderUnknownError."""
        self._keyring.provider(target.provider)
        pool = self._keyring.pool(*target, owner)
        return self._look_at(pool, target, principal, request, now, owner)

    def glimpse(self, target: Target, principal: str, tenant: str, now: float, owner: str) -> Look:
        """A cheap look for a request that asks for nothing but the target."""
        pool = self._keyring.glimpse(*target, owner)
        request = AcquireRequest(target, tenant)
        return self._look_at(pool, target, principal, request, now, owner)

    def still_admits(self, look: Look, candidate: Candidate) -> bool:
        """Ask again what may have changed while a claim was under way."""
        if not self._keyring.leases(candidate.key):
            look.pool = self._keyring.pool(*look.target, look.owner)
            look.endpoints = self._endpoints(look.pool, look.principal, look.now)
            return False
        upstream = candidate.upstream
        above = self.upstream_admission(upstream, look.principal, look.now)
        look.endpoints[upstream.endpoint] = above
        return above.block is None and self.judge(look, candidate).block is None

    def pick(self, look: Look) -> Pick | None:
        """The candidate that every filter admits, if there is one."""
        if self._marks.disabled_upstream(*look.target):
            return None
        closed = look.closed()
        if closed and len(closed) == len(look.endpoints):
            return None
        too_large: list[Candidate] = []

        def judge(candidate: Candidate) -> Admission:
            admission = self.judge(look, candidate)
            if admission.block is not None and self._has_room_for_less(look, candidate):
                too_large.append(candidate)
            return admission

        pick = choose(
            look.pool,
            judge,
            look.now,
            self._random,
            excluded=look.barred,
            closed_endpoints=closed,
            affinity_key=look.request.affinity_key,
        )
        for candidate in too_large:
            if candidate.parked is not None:  # for this request only, not for those of others
                look.passed[candidate.key.key_id] = candidate.parked
                look.pool.unpark(candidate)
        return pick

    def judge(self, look: Look, candidate: Candidate) -> Admission:
        """What marks, circuits, ramps and rates say of one candidate."""
        key = candidate.key
        if self._marks.disabled_key(key.key_id):
            return Admission(block=Block(DenialReason.ALL_DISABLED, FOREVER))
        own = self._health.admit(key.provider, candidate.scopes, look.now)
        above = look.endpoints[candidate.upstream.endpoint]
        if own.block is not None:
            return own
        ramps = self._health.of(key.provider).ramps
        block = ramps.block(own.ramps, look.now) if own.ramps else None
        block = block or self._pacing.block(key, look.request.estimated_tokens, look.now)
        if block is not None:
            return Admission(block=block)
        if not above.permits and not above.ramps:
            return own
        return Admission(None, own.permits + above.permits, own.ramps + above.ramps)

    def _has_room_for_less(self, look: Look, candidate: Candidate) -> bool:
        """Would the candidate admit a request of fewer tokens?"""
        if look.request.estimated_tokens <= 1:
            return False
        less = replace(look, request=replace(look.request, estimated_tokens=1))
        return self.judge(less, candidate).block is None

    def upstream_admission(self, upstream: Upstream, principal: str, now: float) -> Admission:
        """What the circuits and ramps over an upstream say to one caller."""
        if self._health.is_calm(upstream.provider):
            return FREE
        scopes = upstream_scopes(upstream, principal)
        admission = self._health.admit(upstream.provider, scopes, now)
        if admission.block is None and admission.ramps:
            block = self._health.of(upstream.provider).ramps.block(admission.ramps, now)
            if block is not None:
                return Admission(block=block)
        return admission

    def denial(self, looks: Sequence[Look]) -> Denial:
        """Why `pick` found nothing in any of these pools of one upstream, as an answer."""
        target, now = looks[0].target, looks[0].now
        provider = self._keyring.provider(target.provider)
        blocks = [block for look in looks for block in self.blocks(look)]
        there = [block for block in blocks if block.reason is not DenialReason.NO_KEYS]
        block = precedence(there or blocks)
        dialect = provider.dialect
        help_url = (
            dialect.status_url if block.reason is DenialReason.UPSTREAM_OPEN else dialect.help_url
        )
        states = sum((Counter(self._states(look)) for look in looks), Counter[str]())
        return deny(block, target, now, keys_by_state=states, help_url=help_url)

    def _states(self, look: Look) -> dict[str, int]:
        unreadable = len(self._keyring.unreadable(look.target.provider, look.owner))
        return look.pool.states() | ({"unreadable": unreadable} if unreadable else {})

    def stale_source(self, looks: Sequence[Look]) -> str:
        """The stale source of system keys without which none of these looks found a key; "": none.

        Where any other key is there, what speaks against it is the better answer.
        """
        target = looks[0].target
        for look in looks:
            if len(look.pool) or self._keyring.unreadable(target.provider, look.owner):
                return ""
        is_for_system = any(not look.owner for look in looks)
        return self._keyring.stale_source(*target) if is_for_system else ""

    def blocks(self, look: Look) -> list[Block]:
        """Every reason at hand why this pool has nothing."""
        provider = look.target.provider
        if self._marks.disabled_upstream(*look.target):
            return [Block(DenialReason.ALL_DISABLED, FOREVER)]
        if self._keyring.unreadable(provider, look.owner):
            unreadable = Block(DenialReason.TENANT_KEY_UNUSABLE, FOREVER)
            return [unreadable, *self._blocks(look)] if len(look.pool) else [unreadable]
        if not len(look.pool):
            has_keys = self._keyring.has_keys(provider, look.owner)
            reason = DenialReason.MODEL_NOT_ALLOWED if has_keys else DenialReason.NO_KEYS
            return [Block(reason, FOREVER)]
        return self._blocks(look)

    def _blocks(self, look: Look) -> list[Block]:
        closed = list(look.closed().values())
        if len(closed) == len(look.endpoints):
            return closed
        self._park_excluded(look)
        blocks = [*closed, *look.passed.values(), *look.pool.blocks()]
        if look.pool.has_ready() and not closed:
            blocks.append(Block(DenialReason.ALL_TRIED, FOREVER))
        return blocks

    def _look_at(
        self,
        pool: Pool,
        target: Target,
        principal: str,
        request: AcquireRequest,
        now: float,
        owner: str,
    ) -> Look:
        endpoints = self._endpoints(pool, principal, now)
        excluded = frozenset((*request.excluded, *request.tried))
        return Look(target, principal, request, pool, now, endpoints, excluded, owner)

    def _endpoints(self, pool: Pool, principal: str, now: float) -> dict[str, Admission]:
        return {
            upstream.endpoint: self.upstream_admission(upstream, principal, now)
            for upstream in pool.endpoints
        }

    def _park_excluded(self, look: Look) -> None:
        """Having been tried is the reason only for keys that nothing else speaks against."""
        for key_id in look.excluded:
            candidate = look.pool.find(key_id)
            if candidate is None or candidate.parked is not None:
                continue
            block = self.judge(look, candidate).block
            if block is not None and not self._has_room_for_less(look, candidate):
                look.pool.park(candidate, block)
