"""What AcquireLease would answer, and why: a dry run by the parts that decide."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from broker.core.admission import Block
from broker.core.chain import ChainId
from broker.core.denial import Denial, Target, deny
from broker.core.key import Key
from broker.core.pool import Candidate, Pool
from broker.core.scope import Upstream
from broker.core.selection import Pick
from broker.core.words import DenialReason
from broker.ports.clock import Clock
from broker.services.acquisition import AcquireRequest
from broker.services.alternatives import Alternatives
from broker.services.choosing import Choosing, Look
from broker.services.filters import FilterAnswer, Filters
from broker.services.granting import Granting
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.leasing import RETRY_BUDGET_WAIT_S, earlier_faults
from broker.services.pacing import Pacing
from broker.services.policy_words import policy_in_words
from broker.services.routing import Routing
from broker.services.tenants import Tenants
from broker.services.upstreams import Upstreams

MAX_KEYS = 1000
"""Keys explained of one upstream."""


@dataclass(frozen=True, slots=True)
class KeyExplanation:
    """What each filter says about a key, all of them in their order."""

    key: Key
    answers: tuple[FilterAnswer, ...]

    @property
    def is_leasable(self) -> bool:
        """Does every filter admit the key?"""
        return all(answer.admits for answer in self.answers)


@dataclass(frozen=True, slots=True)
class UpstreamExplanation:
    """Why an upstream has a key to lease, or (`denial`) none."""

    target: Target
    policy: str
    keys: tuple[KeyExplanation, ...]
    denial: Denial | None


@dataclass(frozen=True, slots=True)
class WouldGrant:
    """A lease that would be granted."""

    key: Key
    upstream: Upstream
    provider_model: str
    is_trial: bool
    is_degraded: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer and the upstreams that were looked at, in order; the last one decided."""

    answer: WouldGrant | Denial
    upstreams: tuple[UpstreamExplanation, ...]


@dataclass(frozen=True, slots=True)
class Explain:
    """Explains acquires; takes no slot and no permit, counts nothing and sets nothing aside."""

    keyring: Keyring
    tenants: Tenants
    routing: Routing
    health: HealthBook
    pacing: Pacing
    choosing: Choosing
    granting: Granting
    alternatives: Alternatives
    upstreams: Upstreams
    filters: Filters
    clock: Clock

    async def acquire(self, principal: str, request: AcquireRequest) -> Explanation:
        """What `principal` would be answered now.

        Raises ProviderUnknownError, and StoreUnavailableError where the tenant must be read and
        cannot be.
        """
        now = self.clock.now()
        targets = (request.target, *request.fallbacks)
        for target in targets:
            self.keyring.provider(target.provider)
        block = self.pacing.quota_block(principal, request.tenant, now)
        if block is not None:
            return Explanation(deny(block, request.target, now), ())
        async with self.tenants.using(request.tenant):
            return self._acquire(principal, request, targets)

    def _acquire(
        self, principal: str, request: AcquireRequest, targets: tuple[Target, ...]
    ) -> Explanation:
        explained: list[UpstreamExplanation] = []
        for target in targets:
            answer = self._explain(target, principal, request, explained)
            if isinstance(answer, WouldGrant):
                return Explanation(answer, tuple(explained))
        now = self.clock.now()
        found = self.alternatives.of(targets, principal, request.tenant, now)
        first = next(entry.denial for entry in explained if entry.denial is not None)
        return Explanation(first.offering(found), tuple(explained))

    def _explain(
        self,
        target: Target,
        principal: str,
        request: AcquireRequest,
        explained: list[UpstreamExplanation],
    ) -> WouldGrant | Denial:
        """One upstream's answer; the keys of every owner that the policy allows are explained."""
        looks: list[Look] = []
        keys: list[KeyExplanation] = []
        answer: WouldGrant | Denial | None = None
        for look in self.routing.looks(target, principal, request, _at_a_copy):
            looks.append(look)
            keys += self._explain_keys(look)
            answer = self._answer(look)
            if answer is not None:
                break
        for owner in self.routing.owners(request.tenant, target.provider)[len(looks) :]:
            further = self.choosing.look(target, principal, request, looks[0].now, owner)
            keys += self._explain_keys(_at_a_copy(further))
        answer = answer or self._denial(looks)
        policy = policy_in_words(self.routing.policy(request.tenant, target.provider))
        denial = answer if isinstance(answer, Denial) else None
        explained.append(UpstreamExplanation(target, policy, tuple(keys[:MAX_KEYS]), denial))
        return answer

    def _denial(self, looks: list[Look]) -> Denial:
        """Why none of the looks has a key; where acquiring raises an error, in its words."""
        denial, stale = self.routing.denial(looks), self.routing.stale(looks)
        return replace(denial, message=stale.message) if stale else denial

    def _answer(self, look: Look) -> WouldGrant | Denial | None:
        """What this pool alone would answer; None where it has nothing."""
        while (pick := self.choosing.pick(look)) is not None:
            if self._is_out_of_retries(look, pick.candidate.upstream):
                until = look.now + RETRY_BUDGET_WAIT_S
                return deny(Block(DenialReason.UPSTREAM_OPEN, until), look.target, look.now)
            refusal = self.filters.foresee(look, pick.candidate, pick.admission)
            if refusal is None:
                return self._would_grant(look, pick)
            self.granting.set_aside(look, pick, refusal)
        return None

    def _would_grant(self, look: Look, pick: Pick) -> WouldGrant:
        candidate = pick.candidate
        return WouldGrant(
            key=candidate.key,
            upstream=candidate.upstream,
            provider_model=candidate.provider_model,
            is_trial=bool(pick.admission.permits),
            is_degraded=self.health.is_cut_off(look.now),
        )

    def _is_out_of_retries(self, look: Look, upstream: Upstream) -> bool:
        request = look.request
        chain_id = ChainId(look.principal, request.tenant, request.request_id)
        chain = self.upstreams.chains.find(chain_id, look.now)
        faults = earlier_faults(upstream, request, chain)
        return self.upstreams.forbids_retry(upstream, faults, look.now)

    def _explain_keys(self, look: Look) -> Iterator[KeyExplanation]:
        """The owner's keys, those that could be leased first; the rest beyond MAX_KEYS goes."""
        provider, tenant = look.target.provider, self.tenants.find(look.owner)
        unreadable = tenant.unreadable.values() if tenant else ()
        keys = [
            *self.keyring.keys(provider, look.owner),
            *(key for key in unreadable if key.provider == provider),
        ]
        passing: list[Candidate] = []
        failing: list[Candidate] = []
        for candidate in self.filters.candidates(look, keys):
            (passing if self.filters.passes(look, candidate) else failing).append(candidate)
        passing.sort(key=lambda candidate: -candidate.key.priority)
        top = passing[0].key.priority if passing else None
        for candidate in [*passing, *failing][:MAX_KEYS]:
            yield KeyExplanation(candidate.key, self.filters.answers(look, candidate, top))


def _at_a_copy(look: Look) -> Look:
    """The look at a copy of its pool: what it sets aside is set aside for nobody."""
    return replace(look, pool=_copy(look.pool))


def _copy(pool: Pool) -> Pool:
    """The pool with its set-aside candidates, sharing nothing that choosing changes."""
    copies = [
        Candidate(entry.key, entry.upstream, entry.provider_model, entry.load) for entry in pool
    ]
    copy = Pool(copies)
    for entry, copied in zip(pool, copies, strict=True):
        if entry.parked is not None:
            copy.park(copied, entry.parked)
    return copy
