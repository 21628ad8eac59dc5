"""The filters that a key must pass, each asked by itself: what explanations are made of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from broker.core.admission import Admission, Block, Permit, upstream_scopes
from broker.core.circuit import FOREVER, Circuit
from broker.core.denial import Target
from broker.core.key import Key
from broker.core.load import KeyLoad
from broker.core.pool import Candidate, Pool
from broker.core.scope import Upstream
from broker.core.words import DenialReason
from broker.ports.claims import Claims, Refusal
from broker.services.acquisition import AcquireRequest
from broker.services.choosing import Choosing, Look
from broker.services.granting import PERMIT_S
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.marks import Marks
from broker.services.pacing import Pacing
from broker.services.standing import CircuitView, views_of

_UNTIMED = frozenset({DenialReason.QUARANTINED})
"""What time alone does not end, although a deadline says when it is looked at again."""

_OTHER_FILTERS = frozenset({DenialReason.AT_CAPACITY, DenialReason.ALL_DISABLED})
"""Why a pool may have set a key aside that is no matter of circuits."""


class Filter(StrEnum):
    """What a key must pass, in this order."""

    ENABLED = "ENABLED"
    MODEL_ALLOWED = "MODEL_ALLOWED"
    NOT_EXCLUDED = "NOT_EXCLUDED"
    CIRCUITS = "CIRCUITS"
    SLOTS = "SLOTS"
    PRIORITY = "PRIORITY"


@dataclass(frozen=True, slots=True)
class FilterAnswer:
    """What one filter says of a key; `retry_delay_s` where time alone makes it admit."""

    filter: Filter
    detail: str
    admits: bool = field(kw_only=True)
    retry_delay_s: float | None = None
    circuits: tuple[CircuitView, ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """Asks the parts that decide, and takes nothing."""

    keyring: Keyring
    health: HealthBook
    marks: Marks
    pacing: Pacing
    choosing: Choosing
    claims: Claims
    book: LeaseBook

    def survey(
        self,
        target: Target,
        principal: str,
        request: AcquireRequest,
        now: float,
        owner: str = "",
    ) -> Look:
        """A look at an owner's keys that keeps no pool; raises ProviderUnknownError."""
        self.keyring.provider(target.provider)
        excluded = frozenset((*request.excluded, *request.tried))
        return Look(target, principal, request, Pool(()), now, {}, excluded, owner)

    def candidates(self, look: Look, keys: Iterable[Key]) -> Iterator[Candidate]:
        """Each key as the look's pool sees it, also one that does not allow the model."""
        look.pool.wake(look.now)
        for key in keys:
            candidate = look.pool.find(key.key_id) if len(look.pool) else None
            if candidate is None:
                upstream = Upstream(key.provider, key.base_url, look.target.model)
                model = key.provider_model(look.target.model) or ""
                load = self.keyring.load(key.key_id) if key.secret else KeyLoad()
                candidate = Candidate(key, upstream, model, load)
            self._ask_endpoint(look, candidate.upstream)
            yield candidate

    def passes(self, look: Look, candidate: Candidate) -> bool:
        """Does every filter before the priority admit the candidate?"""
        key = candidate.key
        endpoint = look.endpoints[candidate.upstream.endpoint]
        is_barred = key.key_id in look.excluded or endpoint.block is not None or not key.secret
        if is_barred or not candidate.provider_model or candidate.parked is not None:
            return False
        is_stale = self.keyring.is_stale(key.key_id)
        if is_stale or self.marks.disabled_upstream(*look.target):
            return False
        admission = self.choosing.judge(look, candidate)
        return admission.block is None and self.foresee(look, candidate, admission) is None

    def foresee(self, look: Look, candidate: Candidate, admission: Admission) -> Refusal | None:
        """Why the claim of a lease would be refused, as far as this replica knows."""
        for permit, free_at in self._busy_permits(look.now, admission.permits):
            return Refusal(permit, free_at)
        key = candidate.key
        cap = key.limits.concurrency
        wanted = 1 if admission.permits else look.request.concurrency
        if cap and self.claims.slots_in_use(key.provider, key.key_id, look.now) + wanted > cap:
            return Refusal(None, FOREVER)
        return None

    def answers(
        self, look: Look, candidate: Candidate, top_priority: int | None
    ) -> tuple[FilterAnswer, ...]:
        """Every filter's answer; `top_priority` is the highest that passes the others."""
        return (
            self._enabled(look, candidate.key),
            _model_allowed(candidate),
            _not_excluded(look, candidate.key),
            self._circuits(look, candidate),
            self._slots(look, candidate),
            _priority(candidate.key, top_priority),
        )

    def _ask_endpoint(self, look: Look, upstream: Upstream) -> None:
        if upstream.endpoint not in look.endpoints:
            admission = self.choosing.upstream_admission(upstream, look.principal, look.now)
            look.endpoints[upstream.endpoint] = admission

    def _enabled(self, look: Look, key: Key) -> FilterAnswer:
        marks = {
            "key": self.marks.disabled_key(key.key_id),
            "upstream": self.marks.disabled_upstream(*look.target),
        }
        told = [
            f"the {what} was disabled by {mark.principal}: {mark.reason or 'no reason given'}"
            for what, mark in marks.items()
            if mark is not None
        ]
        if self.keyring.is_stale(key.key_id):
            source = self.keyring.source_of(key.key_id)
            told.append(f"its source, {source}, has not confirmed it for too long")
        if not key.secret:
            told.append("its stored secret cannot be opened: rotate or delete the key")
        return FilterAnswer(Filter.ENABLED, "; ".join(told) or "enabled", admits=not told)

    def _circuits(self, look: Look, candidate: Candidate) -> FilterAnswer:
        provider, now = candidate.key.provider, look.now
        own = self.health.admit(provider, candidate.scopes, now)
        above = look.endpoints[candidate.upstream.endpoint]
        permits = (*own.permits, *above.permits)
        blocks = [block for block in (own.block, above.block) if block is not None]
        ramp = self.health.of(provider).ramps.block(own.ramps, now) if own.ramps else None
        blocks += [ramp] if ramp else []
        for _, free_at in self._busy_permits(now, permits):
            blocks.append(Block(DenialReason.TRIAL_BUSY, free_at))
        if candidate.parked is not None and candidate.parked.reason not in _OTHER_FILTERS:
            blocks.append(candidate.parked)
        views = tuple(views_of(self._records(look, candidate), now))
        if not blocks:
            detail = "this lease would be the trial" if permits else "every circuit admits"
            return FilterAnswer(Filter.CIRCUITS, detail, admits=True, circuits=views)
        words = (block.reason.replace("_", " ").lower() for block in blocks)
        detail = ", ".join(dict.fromkeys(words))
        wait_s = _wait_s(blocks, now)
        return FilterAnswer(Filter.CIRCUITS, detail, wait_s, views, admits=False)

    def _records(self, look: Look, candidate: Candidate) -> Iterator[Circuit]:
        above = upstream_scopes(candidate.upstream, look.principal)
        for view in self.health.of(candidate.key.provider).views:
            for scope in (*candidate.scopes, *above):
                yield from view.families(scope).values()

    def _slots(self, look: Look, candidate: Candidate) -> FilterAnswer:
        key, now = candidate.key, look.now
        cap = key.limits.concurrency
        if cap:
            in_use = self.claims.slots_in_use(key.provider, key.key_id, now)
            detail = f"{in_use} of {cap} slots are in use"
            if in_use + self._wanted_slots(look, candidate) > cap:
                return FilterAnswer(Filter.SLOTS, detail, admits=False)
        else:
            detail = "no cap on leases at one time"
        block = self.pacing.block(key, look.request.estimated_tokens, now)
        if block is None and candidate.parked is not None:
            is_full = candidate.parked.reason is DenialReason.AT_CAPACITY
            block = candidate.parked if is_full else None
        if block is None:
            return FilterAnswer(Filter.SLOTS, detail, admits=True)
        detail = "caps or rates leave no room for now"
        return FilterAnswer(Filter.SLOTS, detail, _wait_s([block], now), admits=False)

    def _wanted_slots(self, look: Look, candidate: Candidate) -> int:
        """A trial has one slot, whatever was asked for."""
        own = self.health.admit(candidate.key.provider, candidate.scopes, look.now)
        above = look.endpoints[candidate.upstream.endpoint]
        return 1 if own.permits or above.permits else look.request.concurrency

    def _busy_permits(
        self, now: float, permits: tuple[Permit, ...]
    ) -> Iterator[tuple[Permit, float]]:
        """Those of `permits` that a live lease of this replica holds, and until when."""
        if not permits:
            return
        for live in self.book:
            free_at = live.claims.first_granted_at + PERMIT_S
            if free_at > now:
                yield from ((permit, free_at) for permit in live.permits if permit in permits)


def _model_allowed(candidate: Candidate) -> FilterAnswer:
    name = candidate.provider_model
    detail = f"allowed as {name}" if name else "none of the key's models matches"
    return FilterAnswer(Filter.MODEL_ALLOWED, detail, admits=bool(name))


def _not_excluded(look: Look, key: Key) -> FilterAnswer:
    is_out = key.key_id in look.excluded
    detail = "the request excludes it or has tried it" if is_out else "neither excluded nor tried"
    return FilterAnswer(Filter.NOT_EXCLUDED, detail, admits=not is_out)


def _priority(key: Key, top_priority: int | None) -> FilterAnswer:
    admits = top_priority is None or key.priority >= top_priority
    above = "no key" if admits else f"a key of priority {top_priority}"
    detail = f"its priority is {key.priority}; {above} above that is left"
    return FilterAnswer(Filter.PRIORITY, detail, admits=admits)


def _wait_s(blocks: list[Block], now: float) -> float | None:
    """How long until time alone has lifted every block; None where something has to happen."""
    until = max(block.until for block in blocks)
    is_timed = until < FOREVER and not any(block.reason in _UNTIMED for block in blocks)
    return max(until - now, 0.0) if is_timed else None
