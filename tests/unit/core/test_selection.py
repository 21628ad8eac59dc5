"""Choosing: the highest tier that admits, then affinity, else the better of two."""

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from broker.core.admission import FREE, Admission, Block
from broker.core.load import KeyLoad
from broker.core.pool import Candidate, Pool
from broker.core.scope import Upstream
from broker.core.selection import RING_STEPS, choose
from broker.core.words import DenialReason
from tests.unit.core.given import MODEL, NOW, PROVIDER, make_key

COOLING = Admission(block=Block(DenialReason.COOLING_DOWN, NOW + 10.0))


def candidate(
    key_id: str, *, priority: int = 0, weight: float = 1.0, endpoint: str = ""
) -> Candidate:
    key = make_key(key_id, priority=priority, weight=weight)
    return Candidate(key, Upstream(PROVIDER, endpoint, MODEL), MODEL, KeyLoad())


def pool_of(size: int) -> Pool:
    return Pool(candidate(f"k{number}") for number in range(size))


class Judging:
    """A judge that refuses some keys and counts how often it is asked."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.asked = 0

    def __call__(self, entry: Candidate) -> Admission:
        self.asked += 1
        return COOLING if entry.key.key_id in self.refused else FREE


def chosen(
    pool: Pool,
    judge: Callable[[Candidate], Admission] | None = None,
    *,
    seed: int = 0,
    excluded: tuple[str, ...] = (),
    closed: tuple[str, ...] = (),
    affinity_key: str = "",
) -> str | None:
    """The key id of the choice, which counts as granted."""
    pick = choose(
        pool,
        judge or Judging(),
        NOW,
        Random(seed),
        excluded=excluded,
        closed_endpoints=closed,
        affinity_key=affinity_key,
    )
    if pick is None:
        return None
    pick.candidate.load.note_grant(NOW)
    return pick.candidate.key.key_id


def test_an_empty_pool_has_nothing() -> None:
    assert chosen(Pool([])) is None


@pytest.mark.parametrize("affinity_key", ["", "conversation"])
def test_a_lone_key_is_chosen_whenever_it_admits(affinity_key: str) -> None:
    assert chosen(pool_of(1), affinity_key=affinity_key) == "k0"
    assert chosen(pool_of(1), Judging("k0"), affinity_key=affinity_key) is None


@pytest.mark.parametrize("affinity_key", ["", "conversation"])
def test_a_lower_tier_serves_only_when_the_higher_one_has_nothing(affinity_key: str) -> None:
    pool = Pool([candidate("low"), candidate("low2"), candidate("high", priority=1)])
    assert {chosen(pool, seed=seed, affinity_key=affinity_key) for seed in range(20)} == {"high"}
    refusing = Judging("high")
    picks = {chosen(pool, refusing, seed=seed, affinity_key=affinity_key) for seed in range(20)}
    assert picks <= {"low", "low2"}


@pytest.mark.parametrize("affinity_key", ["", "conversation"])
def test_excluded_keys_are_never_chosen_and_stay_ready_for_others(affinity_key: str) -> None:
    pool, excluded = pool_of(5), ("k0", "k1", "k2", "k4")
    for seed in range(50):
        assert chosen(pool, seed=seed, excluded=excluded, affinity_key=affinity_key) == "k3"
    assert chosen(pool, excluded=(*excluded, "k3"), affinity_key=affinity_key) is None
    assert pool.counts() == {}


@pytest.mark.parametrize("affinity_key", ["", "conversation"])
def test_keys_behind_a_closed_endpoint_are_passed_over(affinity_key: str) -> None:
    pool = Pool([candidate("here"), candidate("eu", endpoint="eu")])
    for seed in range(20):
        assert chosen(pool, seed=seed, closed=("eu",), affinity_key=affinity_key) == "here"
    assert pool.counts() == {}


@pytest.mark.parametrize("affinity_key", ["", "conversation"])
def test_a_refusal_parks_the_key_until_its_time_is_over(affinity_key: str) -> None:
    pool, judge = pool_of(3), Judging("k0", "k1", "k2")
    assert chosen(pool, judge, affinity_key=affinity_key) is None
    assert pool.counts() == {DenialReason.COOLING_DOWN: 3}
    assert chosen(pool, judge, affinity_key=affinity_key) is None
    assert judge.asked == 3
    pick = choose(pool, Judging(), NOW + 10.0, Random(0))
    assert pick is not None


def test_a_choice_carries_what_its_lease_needs() -> None:
    admission = Admission(ramps=())
    pick = choose(pool_of(1), lambda _: admission, NOW, Random(0))
    assert pick is not None
    assert pick.admission is admission


# --- The better of two ----------------------------------------------------------------------


def test_leases_spread_evenly_over_equal_keys() -> None:
    pool, random = pool_of(10), Random(1)
    spread: Counter[str] = Counter()
    for _ in range(1000):
        pick = choose(pool, Judging(), NOW, random)
        assert pick is not None
        pick.candidate.load.note_grant(NOW)
        spread[pick.candidate.key.key_id] += 1
    assert min(spread.values()) > 90
    assert max(spread.values()) < 110


def test_leases_spread_by_weight() -> None:
    pool, random = Pool([candidate("light"), candidate("heavy", weight=3.0)]), Random(1)
    spread: Counter[str] = Counter()
    for _ in range(400):
        pick = choose(pool, Judging(), NOW, random)
        assert pick is not None
        pick.candidate.load.note_grant(NOW)
        spread[pick.candidate.key.key_id] += 1
    assert spread["heavy"] / spread["light"] == pytest.approx(3.0, rel=0.1)


# --- Affinity -------------------------------------------------------------------------------


def test_a_conversation_keeps_its_key() -> None:
    pool = pool_of(20)
    for number in range(50):
        picks = [
            choose(pool, Judging(), NOW, Random(seed), affinity_key=f"conversation-{number}")
            for seed in range(4)
        ]
        assert len({pick.candidate.key.key_id for pick in picks if pick is not None}) == 1


def test_a_conversation_comes_back_to_its_key_once_that_admits_again() -> None:
    pool = pool_of(20)
    home = chosen(pool, affinity_key="conversation")
    assert home is not None
    away = chosen(pool, Judging(home), affinity_key="conversation")
    assert away not in {None, home}
    assert chosen(pool, Judging(), affinity_key="conversation") == away
    pool.wake(NOW + 10.0)
    assert chosen(pool, Judging(), affinity_key="conversation") == home


def test_other_conversations_do_not_move_when_a_key_fails() -> None:
    keys = [f"conversation-{number}" for number in range(100)]
    homes = {key: chosen(pool_of(20), affinity_key=key) for key in keys}
    now = {key: chosen(pool_of(20), Judging("k3"), affinity_key=key) for key in keys}
    assert {homes[key] for key in keys if now[key] != homes[key]} == {"k3"}


def test_one_busy_conversation_spills_over_instead_of_drowning_its_key() -> None:
    pool = pool_of(10)
    spread = Counter(chosen(pool, affinity_key="busy") for _ in range(1000))
    assert sum(spread.values()) == 1000
    assert max(spread.values()) <= 1.25 * (1000 / 10) + 8 + 1


def test_a_quiet_pool_keeps_affinity_whatever_the_mean() -> None:
    pool = pool_of(10)
    assert len({chosen(pool, affinity_key="quiet") for _ in range(9)}) == 1


def test_beyond_the_walk_any_key_is_as_good_as_another() -> None:
    """All the conversation's neighbours refuse: the two random candidates take over."""
    pool = pool_of(RING_STEPS + 200)
    near = set(pool.tiers[0].ring.walk("conversation", RING_STEPS))
    pick = chosen(pool, Judging(*near), affinity_key="conversation")
    assert pick is not None
    assert pick not in near


# --- Cost -----------------------------------------------------------------------------------


@pytest.mark.parametrize("affinity_key", ["", "conversation"])
def test_choosing_among_many_parked_keys_looks_at_few(affinity_key: str) -> None:
    """The pool pays once for each refusal; then ten thousand keys cost what one does."""
    pool, judge = pool_of(10_000), Judging(*(f"k{number}" for number in range(9_999)))
    assert chosen(pool, judge, affinity_key=affinity_key) == "k9999"
    for entry in pool:
        if entry.parked is None and entry.key.key_id != "k9999":
            pool.park(entry, Block(DenialReason.COOLING_DOWN, NOW + 10.0))
    judge.asked = 0
    for seed in range(100):
        assert chosen(pool, judge, seed=seed, affinity_key=affinity_key) == "k9999"
    assert judge.asked == 100
