"""What every fact log promises."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from broker.core.facts import CallFailed, Fact, RevisionRetired
from broker.core.replica import Logged, ReplicaHealth
from broker.core.scope import key_scope
from broker.core.snapshot import Snapshot, take_snapshot
from broker.core.words import Evidence, Family, Kind
from broker.ports.fact_log import FactLog
from tests.contract.adapters import FACT_LOGS
from tests.fakes import FakeClock, eventually

TRIPPED = CallFailed(
    fact_id="tripped",
    provider="openai",
    replica="r1",
    scope=key_scope("openai", "openai/1", "aa"),
    family=Family.CREDENTIAL,
    kind=Kind.INVALID_CREDENTIAL,
    evidence=Evidence.CERTAIN,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=FACT_LOGS)
async def log(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[FactLog]:
    async with FACT_LOGS[request.param](clock) as log:
        yield log


def fact(fact_id: str, provider: str = "openai") -> Fact:
    return RevisionRetired(
        fact_id=fact_id, provider=provider, replica="r1", key_id="openai/1", revision="aa"
    )


async def test_positions_of_a_provider_grow_by_one(log: FactLog) -> None:
    logged = [await log.append(fact(f"f{n}"), 0.0) for n in range(5)]
    first = logged[0].position
    assert [entry.position for entry in logged] == list(range(first, first + 5))


async def test_providers_have_orders_of_their_own(log: FactLog) -> None:
    first = await log.append(fact("f1", "openai"), 0.0)
    await log.append(fact("f2", "anthropic"), 0.0)
    second = await log.append(fact("f3", "openai"), 0.0)
    assert second.position == first.position + 1


async def test_an_entry_holds_its_fact_and_its_age(log: FactLog) -> None:
    logged = await log.append(fact("f1"), 2.5)
    assert (logged.fact, logged.age_s) == (fact("f1"), 2.5)


async def test_an_age_is_never_negative(log: FactLog) -> None:
    """A fact from the future, as a clock that was set back may say, happened now."""
    assert (await log.append(fact("f1"), -3.0)).age_s == 0.0


async def test_log_time_never_goes_back(log: FactLog, clock: FakeClock) -> None:
    before = await log.append(fact("f1"), 0.0)
    clock.set(clock.now() - 60.0)
    after = await log.append(fact("f2"), 0.0)
    assert after.at >= before.at


async def test_a_fact_id_that_is_remembered_is_appended_once(log: FactLog) -> None:
    first = await log.append(fact("f1"), 0.0)
    await log.append(fact("f2"), 0.0)
    assert await log.append(fact("f1"), 7.0) == first
    got: list[Logged] = []
    await log.follow("openai", 0, got.append)
    await eventually(lambda: len(got) >= 2)
    assert [entry.fact.fact_id for entry in got] == ["f1", "f2"]


async def test_entries_already_there_are_delivered_before_follow_returns(log: FactLog) -> None:
    entries = [await log.append(fact(f"f{n}"), 0.0) for n in range(3)]
    got: list[Logged] = []
    await log.follow("openai", entries[0].position, got.append)
    assert got == entries[1:]


async def test_a_follower_gets_later_entries_of_its_provider_only(log: FactLog) -> None:
    got: list[Logged] = []
    await log.follow("openai", 0, got.append)
    await log.append(fact("f1", "anthropic"), 0.0)
    entry = await log.append(fact("f2", "openai"), 0.0)
    await eventually(lambda: bool(got))
    assert got == [entry]


async def test_concurrent_appends_reach_every_follower_in_one_order(log: FactLog) -> None:
    early: list[Logged] = []
    late: list[Logged] = []
    await log.follow("openai", 0, early.append)
    await asyncio.gather(*(log.append(fact(f"f{n}"), 0.0) for n in range(50)))
    await log.follow("openai", 0, late.append)
    await eventually(lambda: len(early) >= 50)
    positions = [entry.position for entry in early]
    assert positions == sorted(positions)
    assert early == late


async def test_a_follower_that_was_stopped_gets_nothing_more(log: FactLog) -> None:
    stopped: list[Logged] = []
    other: list[Logged] = []
    stop = await log.follow("openai", 0, stopped.append)
    await log.follow("openai", 0, other.append)
    stop()
    stop()
    await log.append(fact("f1"), 0.0)
    await eventually(lambda: bool(other))
    assert stopped == []


async def test_what_a_delivery_appends_in_turn_is_delivered_after_it(log: FactLog) -> None:
    """The fold of one fact may cause the next, while other followers still wait for the first."""
    tasks: list[asyncio.Task[Logged]] = []
    orders: dict[str, list[str]] = {"causing": [], "plain": []}

    def recording(name: str) -> Callable[[Logged], None]:
        return lambda entry: orders[name].append(entry.fact.fact_id)

    def cause(entry: Logged) -> None:
        recording("causing")(entry)
        if entry.fact.fact_id == "cause":
            tasks.append(asyncio.ensure_future(log.append(fact("effect"), 0.0)))

    await log.follow("openai", 0, cause)
    await log.follow("openai", 0, recording("plain"))
    await log.append(fact("cause"), 0.0)
    await eventually(lambda: all(len(order) == 2 for order in orders.values()))
    assert list(orders.values()) == [["cause", "effect"], ["cause", "effect"]]
    await asyncio.gather(*tasks)


# --- Snapshots --------------------------------------------------------------------------------


async def test_a_new_log_has_no_snapshot(log: FactLog) -> None:
    assert await log.snapshot("openai") is None


async def test_a_snapshot_comes_back_as_it_was_saved(log: FactLog, clock: FakeClock) -> None:
    entry = await log.append(TRIPPED, 0.0)
    replica = ReplicaHealth()
    replica.confirm(entry)
    saved = take_snapshot("openai", replica, clock.now())
    await log.save_snapshot(saved)
    assert await log.snapshot("openai") == saved
    assert await log.snapshot("anthropic") is None


async def test_the_newest_snapshot_is_the_one_of_the_highest_position(log: FactLog) -> None:
    entries = [await log.append(fact(f"f{n}"), 0.0) for n in range(4)]
    saved = [Snapshot("openai", entry.position, entry.at) for entry in entries]
    for snapshot in (saved[0], saved[2], saved[3], saved[1]):
        await log.save_snapshot(snapshot)
    assert await log.snapshot("openai") == saved[3]


async def test_entries_after_a_snapshot_are_kept(log: FactLog, clock: FakeClock) -> None:
    for number in range(6):
        entry = await log.append(fact(f"f{number}"), 0.0)
        clock.advance(3600.0)
        if number % 2:
            await log.save_snapshot(Snapshot("openai", entry.position, clock.now()))
    last = await log.append(fact("last"), 0.0)
    snapshot = await log.snapshot("openai")
    assert snapshot is not None
    got: list[Logged] = []
    await log.follow("openai", snapshot.position, got.append)
    assert got == [last]


async def test_an_id_is_remembered_whatever_was_saved(log: FactLog, clock: FakeClock) -> None:
    first = await log.append(fact("f1"), 0.0)
    for _ in range(3):
        entry = await log.append(fact(f"f{clock.now()}"), 0.0)
        clock.advance(60.0)
        await log.save_snapshot(Snapshot("openai", entry.position, clock.now()))
    assert await log.append(fact("f1"), 0.0) == first
