"""Pools by owner: built once, forgotten when their keys change, bounded."""

from collections.abc import Iterator

import pytest

from broker.core.admission import Block
from broker.core.circuit import FOREVER
from broker.core.load import KeyLoad
from broker.core.pool import Candidate, Pool
from broker.core.scope import Scope, Upstream, account_scope, upstream_scope
from broker.core.words import DenialReason
from broker.services.pools import MAX_POOLS, Pools
from tests.unit.services.status_given import a_key, on_model, whole

KEY = a_key("a")
BUSY = Block(DenialReason.AT_CAPACITY, FOREVER)


def candidates() -> Iterator[Candidate]:
    yield Candidate(KEY, Upstream("openai", "", "m"), "m", KeyLoad())


def built(pools: Pools, owner: str = "", provider: str = "openai", model: str = "m") -> Pool:
    return pools.build(owner, provider, model, candidates)


def test_owners_share_no_pool() -> None:
    pools = Pools()
    assert built(pools, "acme") is not built(pools, "")
    assert built(pools, "acme") is built(pools, "acme")


def test_forgetting_an_owner_s_pools_leaves_those_of_others() -> None:
    pools = Pools()
    mine, theirs, other = built(pools, "a"), built(pools, "b"), built(pools, "a", "groq")
    pools.forget("a", "openai")
    assert pools.find("a", "openai", "m") is None
    assert built(pools, "a") is not mine
    assert pools.find("b", "openai", "m") is theirs
    assert pools.find("a", "groq", "m") is other


def test_the_pool_that_was_asked_for_longest_ago_goes_first() -> None:
    pools = Pools()
    used = built(pools, model="used")
    for number in range(MAX_POOLS + 10):
        built(pools, f"tenant-{number}")
        assert pools.find("", "openai", "used") is used
    assert pools.find("tenant-0", "openai", "m") is None
    assert pools.find(f"tenant-{MAX_POOLS + 9}", "openai", "m") is not None


@pytest.mark.parametrize(
    ("scope", "owner", "is_woken"),
    [
        (whole(KEY), "acme", True),
        (whole(KEY), "other", False),
        (on_model(KEY, "m"), "acme", True),
        (on_model(KEY, "n"), "acme", False),
        (whole(a_key("b")), "acme", False),
        (account_scope("openai", "acme", "bill"), "acme", True),
        (account_scope("groq", "acme", "bill"), "acme", False),
        (upstream_scope(Upstream("openai", "", "m")), "acme", False),
    ],
)
def test_a_change_wakes_what_it_is_over(scope: Scope, owner: str, *, is_woken: bool) -> None:
    pools = Pools()
    pool = built(pools, "acme")
    (candidate,) = pool
    pool.park(candidate, BUSY)
    pools.touch(scope, owner)
    assert (candidate.parked is None) is is_woken
