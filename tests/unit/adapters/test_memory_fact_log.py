"""What only the log in memory does: it delivers within append, and forgets."""

import asyncio

import pytest

from broker.adapters.memory import MemoryFactLog
from broker.core.facts import Fact, RevisionRetired
from broker.core.replica import Logged
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def fact(fact_id: str) -> Fact:
    return RevisionRetired(
        fact_id=fact_id, provider="openai", replica="r1", key_id="openai/1", revision="aa"
    )


async def test_append_delivers_before_it_returns(clock: FakeClock) -> None:
    log = MemoryFactLog(clock)
    got: list[Logged] = []
    await log.follow("openai", 0, got.append)
    entry = await log.append(fact("f1"), 0.0)
    assert got == [entry]


async def test_log_time_is_the_clock_s_unless_that_went_back(clock: FakeClock) -> None:
    log = MemoryFactLog(clock)
    start = clock.now()
    times = []
    for step in (0.0, 5.0, -60.0, 56.0):
        clock.advance(step)
        times.append((await log.append(fact(f"f{step}"), 0.0)).at - start)
    assert times == [0.0, 5.0, 5.0, 5.0]


async def test_a_fact_id_is_forgotten_after_fifteen_minutes_of_log_time(clock: FakeClock) -> None:
    log = MemoryFactLog(clock)
    first = await log.append(fact("f1"), 0.0)
    clock.advance(899.0)
    assert await log.append(fact("f1"), 0.0) is first
    clock.advance(1.0)
    again = await log.append(fact("f1"), 0.0)
    assert again.position == first.position + 1


async def test_the_oldest_entries_are_trimmed_and_positions_stay(clock: FakeClock) -> None:
    log = MemoryFactLog(clock, max_entries=3)
    entries = [await log.append(fact(f"f{n}"), 0.0) for n in range(5)]
    got: list[Logged] = []
    await log.follow("openai", 0, got.append)
    assert got == entries[2:]
    assert [entry.position for entry in got] == [3, 4, 5]


async def test_a_coroutine_driven_inside_a_delivery_keeps_the_order(clock: FakeClock) -> None:
    """The append never suspends, so that a delivery could even run one to its end."""
    log = MemoryFactLog(clock)
    orders: tuple[list[int], list[int]] = ([], [])

    def cause(entry: Logged) -> None:
        orders[0].append(entry.position)
        if entry.position < 3:
            with pytest.raises(StopIteration):
                log.append(fact(f"effect{entry.position}"), 0.0).send(None)

    await log.follow("openai", 0, cause)
    await log.follow("openai", 0, lambda entry: orders[1].append(entry.position))
    await log.append(fact("cause"), 0.0)
    assert orders == ([1, 2, 3], [1, 2, 3])


async def test_a_follower_may_stop_itself_and_others_within_a_delivery(clock: FakeClock) -> None:
    log = MemoryFactLog(clock)
    for number in range(3):
        await log.append(fact(f"f{number}"), 0.0)
    stopped: list[int] = []
    stop = await log.follow("openai", 3, lambda entry: stopped.append(entry.position))

    def stop_other(entry: Logged) -> None:
        stop()

    await log.follow("openai", 3, stop_other)
    await log.append(fact("f3"), 0.0)
    await log.append(fact("f4"), 0.0)
    assert stopped == [4]


async def test_appends_need_no_turn_of_the_loop(clock: FakeClock) -> None:
    """A report in one process waits for nobody."""
    log = MemoryFactLog(clock)
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    for number in range(10):
        await log.append(fact(f"f{number}"), 0.0)
    assert turns == []
