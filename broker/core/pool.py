"""The keys eligible for a (tenant, upstream), indexed so that choosing costs the same in any size.

A candidate is *ready* (it may admit; choosing looks) or *parked* (it was seen to refuse until an
instant). Every move is paid by the lease that found the refusal, so nothing scans the pool.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count

from broker.core.admission import Block, key_scopes
from broker.core.circuit import FOREVER
from broker.core.key import Key
from broker.core.load import KeyLoad
from broker.core.ring import Ring
from broker.core.scope import Scope, Upstream
from broker.core.words import DenialReason

_SPARE_WAKES = 32
"""Wakes of refusals taken back that a pool keeps beyond two a candidate, before it clears them."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A key as one pool sees it."""

    key: Key
    upstream: Upstream
    provider_model: str
    load: KeyLoad
    scopes: tuple[Scope, ...] = field(init=False)
    parked: Block | None = None
    place: int = -1

    def __post_init__(self) -> None:
        self.scopes = key_scopes(self.key, self.upstream.model)


class Tier:
    """The candidates of one priority."""

    def __init__(self, candidates: list[Candidate]) -> None:
        self.candidates = {candidate.key.key_id: candidate for candidate in candidates}
        self.ready: list[Candidate] = []
        self._ring: Ring | None = None
        for candidate in candidates:
            self.add(candidate)

    @property
    def ring(self) -> Ring:
        """The tier's consistent-hash ring, built when an affinity key first asks."""
        if self._ring is None:
            members = [(name, entry.key.weight) for name, entry in self.candidates.items()]
            self._ring = Ring(members)
        return self._ring

    def add(self, candidate: Candidate) -> None:
        """Make a candidate ready."""
        candidate.place = len(self.ready)
        self.ready.append(candidate)

    def remove(self, candidate: Candidate) -> None:
        """Take a candidate out of the ready ones."""
        last = self.ready.pop()
        if last is not candidate:
            self.ready[candidate.place] = last
            last.place = candidate.place
        candidate.place = -1


class Pool:
    """The candidates of one pool by tier; `endpoints` are the upstreams they reach."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        by_priority: dict[int, list[Candidate]] = {}
        for candidate in candidates:
            by_priority.setdefault(candidate.key.priority, []).append(candidate)
        self.tiers = [Tier(by_priority[priority]) for priority in sorted(by_priority, reverse=True)]
        self.endpoints = tuple({entry.upstream: None for entry in self})
        self._blocked: Counter[DenialReason] = Counter()
        self._states: Counter[str] = Counter()
        self._wakes: dict[DenialReason, list[tuple[float, int, Candidate, Block]]] = {}
        self._tier_of = {id(entry): tier for tier in self.tiers for entry in _entries(tier)}
        self._ticket = count()

    def __iter__(self) -> Iterator[Candidate]:
        for tier in self.tiers:
            yield from _entries(tier)

    def __len__(self) -> int:
        return sum(len(tier.candidates) for tier in self.tiers)

    def find(self, key_id: str) -> Candidate | None:
        """The candidate of a key."""
        for tier in self.tiers:
            candidate = tier.candidates.get(key_id)
            if candidate is not None:
                return candidate
        return None

    def park(self, candidate: Candidate, block: Block) -> None:
        """Set a candidate aside until `block.until`, or until something about it changes."""
        self.unpark(candidate)
        self._tier_of[id(candidate)].remove(candidate)
        candidate.parked = block
        self._blocked[block.reason] += 1
        self._states[block.key_state] += 1
        if block.until < FOREVER:
            wakes = self._wakes.setdefault(block.reason, [])
            if len(wakes) > 2 * len(self) + _SPARE_WAKES:
                wakes[:] = [wake for wake in wakes if wake[2].parked is wake[3]]
                heapify(wakes)
            heappush(wakes, (block.until, next(self._ticket), candidate, block))

    def unpark(self, candidate: Candidate) -> None:
        """Make a parked candidate ready again."""
        if candidate.parked is None:
            return
        self._blocked[candidate.parked.reason] -= 1
        self._states[candidate.parked.key_state] -= 1
        candidate.parked = None
        self._tier_of[id(candidate)].add(candidate)

    def unpark_all(self) -> None:
        """Look at every candidate anew."""
        for candidate in self:
            self.unpark(candidate)

    def wake(self, now: float) -> None:
        """Make candidates ready whose refusal is over by `now`."""
        for wakes in self._wakes.values():
            while wakes and wakes[0][0] <= now:
                _, _, candidate, block = heappop(wakes)
                if candidate.parked is block:
                    self.unpark(candidate)

    def counts(self) -> dict[DenialReason, int]:
        """How many candidates are parked, by reason."""
        return dict(+self._blocked)

    def states(self) -> dict[str, int]:
        """How many keys are in which state, as choosing last saw them."""
        ready = sum(len(tier.ready) for tier in self.tiers)
        return dict(+(self._states + Counter(healthy=ready)))

    def blocks(self) -> list[Block]:
        """For each reason with parked candidates, the block that ends first."""
        return [Block(reason, self._soonest(reason)) for reason in self.counts()]

    def has_ready(self) -> bool:
        """Is any candidate not parked?"""
        return any(tier.ready for tier in self.tiers)

    def _soonest(self, reason: DenialReason) -> float:
        wakes = self._wakes.get(reason, [])
        while wakes and wakes[0][2].parked is not wakes[0][3]:
            heappop(wakes)
        return wakes[0][0] if wakes else FOREVER


def _entries(tier: Tier) -> Iterator[Candidate]:
    return iter(tier.candidates.values())
