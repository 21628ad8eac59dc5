"""Choosing one key of a pool: the highest tier that admits, affinity, else the better of two."""

from collections.abc import Callable, Collection
from random import Random
from typing import NamedTuple

from broker.core.admission import Admission
from broker.core.pool import Candidate, Pool, Tier

RING_STEPS = 32
"""Members an affinity key may walk past: beyond, any key is as good as any other."""

LOAD_BOUND = 1.25
"""A ring member may carry this multiple of the tier's mean load (bounded-load hashing)."""

LOAD_SLACK = 8.0
"""Recent grants that never count as overload, so that quiet pools keep their affinity."""


class Pick(NamedTuple):
    """A chosen candidate and what its lease needs."""

    candidate: Candidate
    admission: Admission


Judge = Callable[[Candidate], Admission]
"""What all circuits, ramps and caps over a candidate say now."""


def choose(
    pool: Pool,
    judge: Judge,
    now: float,
    random: Random,
    *,
    excluded: Collection[str] = (),
    closed_endpoints: Collection[str] = (),
    affinity_key: str = "",
) -> Pick | None:
    """The candidate to lease, or None when no tier has one; refusing candidates get parked.

    `closed_endpoints` are endpoints whose upstream refuses this caller: their candidates are
    passed over, not parked, since another caller may still reach them.
    """
    pool.wake(now)

    def is_barred(candidate: Candidate) -> bool:
        return candidate.key.key_id in excluded or candidate.upstream.endpoint in closed_endpoints

    for tier in pool.tiers:
        pick = _by_affinity(pool, tier, judge, now, is_barred, affinity_key)
        pick = pick or _better_of_two(pool, tier, judge, now, is_barred, random)
        if pick is not None:
            return pick
    return None


def _by_affinity(
    pool: Pool,
    tier: Tier,
    judge: Judge,
    now: float,
    is_barred: Callable[[Candidate], bool],
    affinity_key: str,
) -> Pick | None:
    if not affinity_key or len(tier.candidates) == 1:
        return None
    for key_id in tier.ring.walk(affinity_key, RING_STEPS):
        candidate = tier.candidates[key_id]
        if candidate.parked or is_barred(candidate) or _is_overloaded(tier, candidate, now):
            continue
        pick = _judged(pool, candidate, judge)
        if pick is not None:
            return pick
    return None


def _better_of_two(
    pool: Pool,
    tier: Tier,
    judge: Judge,
    now: float,
    is_barred: Callable[[Candidate], bool],
    random: Random,
) -> Pick | None:
    while True:
        first = _draw(tier, is_barred, random, None)
        if first is None:
            return None
        other = _draw(tier, is_barred, random, first)
        if other is not None and _pressure(other, now) < _pressure(first, now):
            first = other
        pick = _judged(pool, first, judge)
        if pick is not None:
            return pick


def _draw(
    tier: Tier,
    is_barred: Callable[[Candidate], bool],
    random: Random,
    taken: Candidate | None,
) -> Candidate | None:
    """A random ready candidate that is not barred: walks on from a random place past those."""
    ready = tier.ready
    size = len(ready)
    if size == 0 or (taken is not None and size == 1):
        return None
    start = int(random.random() * size)
    for offset in range(size):
        candidate = ready[(start + offset) % size]
        if candidate is not taken and not is_barred(candidate):
            return candidate
    return None


def _judged(pool: Pool, candidate: Candidate, judge: Judge) -> Pick | None:
    admission = judge(candidate)
    if admission.block is None:
        return Pick(candidate, admission)
    pool.park(candidate, admission.block)
    return None


def _pressure(candidate: Candidate, now: float) -> float:
    return candidate.load.pressure(candidate.key.weight, now)


def _is_overloaded(tier: Tier, candidate: Candidate, now: float) -> bool:
    """Is the candidate above LOAD_BOUND times a fair share, judged against a small sample?"""
    grants = candidate.load.grants(now)
    if grants <= LOAD_SLACK:
        return False
    sample = tier.ready[:RING_STEPS]
    mean = sum(entry.load.grants(now) / entry.key.weight for entry in sample) / len(sample)
    return grants / candidate.key.weight > LOAD_BOUND * mean + LOAD_SLACK
