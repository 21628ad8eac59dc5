"""A pool moves a candidate aside when it refuses and back when that may have changed."""

from random import Random

from broker.core.admission import Block
from broker.core.circuit import FOREVER
from broker.core.load import KeyLoad
from broker.core.pool import Candidate, Pool
from broker.core.scope import Upstream
from broker.core.words import DenialReason, Family, ScopeKind
from tests.unit.core.given import MODEL, NOW, PROVIDER, UPSTREAM, make_key

COOLING = Block(DenialReason.COOLING_DOWN, NOW + 10.0)
BAD = Block(DenialReason.QUARANTINED, FOREVER)


def candidate(key_id: str, *, priority: int = 0, endpoint: str = "") -> Candidate:
    key = make_key(key_id, priority=priority)
    return Candidate(key, Upstream(PROVIDER, endpoint, MODEL), MODEL, KeyLoad())


def pool_of(*key_ids: str) -> Pool:
    return Pool(candidate(key_id) for key_id in key_ids)


def ready(pool: Pool) -> set[str]:
    return {entry.key.key_id for tier in pool.tiers for entry in tier.ready}


def entry_of(pool: Pool, key_id: str) -> Candidate:
    found = pool.find(key_id)
    assert found is not None
    return found


def test_tiers_come_by_falling_priority() -> None:
    pool = Pool([candidate("a"), candidate("b", priority=5), candidate("c")])
    assert [list(tier.candidates) for tier in pool.tiers] == [["b"], ["a", "c"]]
    assert [entry.key.key_id for entry in pool] == ["b", "a", "c"]
    assert len(pool) == 3


def test_a_pool_knows_its_keys_and_the_endpoints_they_reach() -> None:
    pool = Pool([candidate("a"), candidate("b"), candidate("c", endpoint="eu")])
    assert pool.find("z") is None
    assert pool.endpoints == (UPSTREAM, UPSTREAM._replace(endpoint="eu"))
    kinds = [scope.kind for scope in entry_of(pool, "a").scopes]
    assert kinds == [ScopeKind.KEY, ScopeKind.KEY_MODEL]


def test_a_parked_candidate_comes_back_when_its_time_is_over() -> None:
    pool = pool_of("a", "b", "c")
    pool.park(entry_of(pool, "a"), COOLING)
    assert ready(pool) == {"b", "c"}
    pool.wake(NOW + 9.9)
    assert ready(pool) == {"b", "c"}
    pool.wake(NOW + 10.0)
    assert ready(pool) == {"a", "b", "c"}
    assert pool.counts() == {}


def test_a_candidate_parked_for_good_waits_until_something_changes() -> None:
    pool = pool_of("a", "b")
    pool.park(entry_of(pool, "a"), BAD)
    pool.wake(NOW + 9e9)
    assert ready(pool) == {"b"}
    pool.unpark(entry_of(pool, "a"))
    pool.unpark(entry_of(pool, "a"))
    assert ready(pool) == {"a", "b"}


def test_a_wake_of_an_earlier_refusal_does_not_end_a_later_one() -> None:
    pool = pool_of("a")
    pool.park(entry_of(pool, "a"), COOLING)
    pool.unpark_all()
    pool.park(entry_of(pool, "a"), Block(DenialReason.COOLING_DOWN, NOW + 60.0))
    assert pool.blocks() == [Block(DenialReason.COOLING_DOWN, NOW + 60.0)]
    pool.wake(NOW + 10.0)
    assert not pool.has_ready()
    pool.wake(NOW + 60.0)
    assert pool.has_ready()


def test_a_stale_wake_that_comes_first_changes_nothing() -> None:
    pool = pool_of("a")
    pool.park(entry_of(pool, "a"), COOLING)
    pool.unpark_all()
    pool.park(entry_of(pool, "a"), BAD)
    pool.wake(NOW + 10.0)
    assert pool.blocks() == [BAD]


def test_each_reason_tells_the_block_that_ends_first() -> None:
    pool = pool_of("a", "b", "c")
    pool.park(entry_of(pool, "a"), Block(DenialReason.COOLING_DOWN, NOW + 60.0))
    pool.park(entry_of(pool, "b"), COOLING)
    pool.park(entry_of(pool, "c"), BAD)
    assert pool.blocks() == [COOLING, BAD]
    assert pool.counts() == {DenialReason.COOLING_DOWN: 2, DenialReason.QUARANTINED: 1}


def test_the_states_of_keys_are_what_choosing_last_saw() -> None:
    pool = pool_of("a", "b", "c", "d")
    assert pool.states() == {"healthy": 4}
    pool.park(entry_of(pool, "a"), COOLING)
    pool.park(entry_of(pool, "b"), BAD)
    pool.park(entry_of(pool, "c"), Block(DenialReason.TRIAL_BUSY, NOW + 1.0, Family.QUOTA))
    assert pool.states() == {"cooling_down": 1, "quarantined": 1, "exhausted": 1, "healthy": 1}
    pool.unpark_all()
    assert pool.states() == {"healthy": 4}


def test_parking_a_parked_candidate_anew_changes_its_reason_only() -> None:
    """Two leases that wait for claims may both find out that the same key refuses."""
    pool = pool_of("a", "b", "c")
    pool.park(entry_of(pool, "a"), COOLING)
    pool.park(entry_of(pool, "a"), BAD)
    assert ready(pool) == {"b", "c"}
    assert pool.counts() == {DenialReason.QUARANTINED: 1}
    pool.unpark_all()
    assert ready(pool) == {"a", "b", "c"}


def test_refusals_far_ahead_that_were_taken_back_do_not_pile_up() -> None:
    """An empty account is parked for weeks at a time, again at each piece of news about it."""
    pool = pool_of("a", "b")
    for number in range(10_000):
        pool.park(entry_of(pool, "a"), Block(DenialReason.EXHAUSTED, NOW + 9e6 + number))
        pool.unpark_all()
    waiting = sum(len(wakes) for wakes in pool._wakes.values())  # noqa: SLF001
    assert waiting < 100


def test_any_order_of_moves_keeps_every_candidate_in_one_place() -> None:
    pool, random = pool_of(*(f"k{number}" for number in range(12))), Random(7)
    everyone, now = {entry.key.key_id for entry in pool}, NOW
    for _ in range(3000):
        now += random.random()
        entry = random.choice(list(pool))
        if entry.parked is None:
            pool.park(entry, random.choice([BAD, Block(DenialReason.EXHAUSTED, now + 3.0)]))
        elif random.random() < 0.5:
            pool.unpark(entry)
        pool.wake(now)
        parked = {entry.key.key_id for entry in pool if entry.parked is not None}
        assert ready(pool) | parked == everyone
        assert not ready(pool) & parked
        assert sum(pool.counts().values()) == len(parked)
        assert all(pool.tiers[0].ready[entry.place] is entry for entry in pool.tiers[0].ready)
