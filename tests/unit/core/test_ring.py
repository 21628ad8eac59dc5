"""The ring: a conversation keeps its key, and losing a key moves only that key's conversations."""

from collections import Counter

import pytest

from broker.core.ring import MAX_POINTS_PER_MEMBER, TARGET_POINTS, Ring

NAMES = [f"k{number}" for number in range(20)]
CONVERSATIONS = [f"conversation-{number}" for number in range(2000)]


def first(ring: Ring, affinity_key: str) -> str:
    return next(ring.walk(affinity_key, 1))


def test_the_same_affinity_key_leads_to_the_same_member_in_any_order_of_members() -> None:
    ring = Ring([(name, 1.0) for name in NAMES])
    other = Ring([(name, 1.0) for name in reversed(NAMES)])
    assert all(first(ring, key) == first(other, key) for key in CONVERSATIONS)


def test_losing_a_member_moves_only_its_own_conversations() -> None:
    ring = Ring([(name, 1.0) for name in NAMES])
    rest = Ring([(name, 1.0) for name in NAMES if name != "k7"])
    moved = [key for key in CONVERSATIONS if first(ring, key) != first(rest, key)]
    assert moved
    assert {first(ring, key) for key in moved} == {"k7"}


def test_conversations_spread_by_weight() -> None:
    ring = Ring([("light", 1.0), ("heavy", 3.0)])
    spread = Counter(first(ring, key) for key in CONVERSATIONS)
    assert 2.0 < spread["heavy"] / spread["light"] < 4.5


def test_a_walk_meets_each_member_once() -> None:
    ring = Ring([(name, 1.0) for name in NAMES])
    assert sorted(ring.walk("conversation", 100)) == sorted(NAMES)
    assert len(list(ring.walk("conversation", 5))) == 5


def test_a_ring_of_nobody_leads_nowhere() -> None:
    assert list(Ring([]).walk("conversation", 5)) == []


@pytest.mark.parametrize("members", [1, 100, 10_000, 20_000])
def test_a_ring_has_enough_points_but_no_more_than_can_be_built_in_milliseconds(
    members: int,
) -> None:
    ring = Ring([(f"k{number}", 1.0) for number in range(members)])
    points = len(ring._points)  # noqa: SLF001 - the cost is what this is about
    assert members <= points <= max(TARGET_POINTS, members)
    assert points <= members * MAX_POINTS_PER_MEMBER
