"""One log that several brokers write: one order for all, and no fact lost or twice."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from random import Random

import pytest

from broker.adapters.sql import Database, SqlSharedFactLog, listening
from broker.adapters.sql.database import DEADLINE_S
from broker.adapters.system import SystemClock
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.errors import StoreUnavailableError
from tests.integration.sql.shared_given import (
    PROVIDER,
    Broker,
    a_broker,
    brokers,
    check_one_order,
    kill_connections,
    nothing_remembered,
    reached,
    run,
)
from tests.integration.sql.sql_given import a_fact
from tests.postgres import new_database, server
from tests.proxy import proxy_of


async def test_entries_of_others_come_by_notice_within_a_moment() -> None:
    async with brokers(2) as (here, there):
        delays = []
        for number in range(20):
            (entry,) = await here.append(f"f{number}")
            asked = time.monotonic()
            await reached([there], number + 1)
            delays.append(there.got_at[entry.fact.fact_id] - asked)
        assert sorted(delays)[10] < 0.1
        check_one_order([here, there])


async def test_entries_of_others_come_by_looking_where_no_notice_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "CHANNELS", ())
    async with brokers(2) as (here, there):
        began = time.monotonic()
        await here.append("a", "b")
        await reached([there], 2)
        assert time.monotonic() - began < 2.0
        check_one_order([here, there])


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_appends_what_in_whatever_order_all_get_the_same(seed: int) -> None:
    random = Random(seed)
    async with brokers(3) as fleet:
        ids = [f"f{number}" for number in range(60)]

        async def act(broker: Broker) -> None:
            for _ in range(40):
                await broker.append(random.choice(ids))
                if random.random() < 0.2:
                    await asyncio.sleep(random.random() * 0.01)

        await asyncio.gather(*(act(broker) for broker in fleet for _ in range(2)))
        total = len({fact_id for broker in fleet for fact_id in broker.ids})
        await reached(fleet, total)
        check_one_order(fleet)


async def test_own_entries_are_delivered_within_their_append_after_those_before() -> None:
    async with brokers(2) as (here, there):
        await asyncio.gather(here.feed.close(), there.feed.close())
        await here.append("a", "b")
        assert there.ids == []
        await there.append("c")
        assert there.ids == ["a", "b", "c"]
        await there.append("a")
        assert there.ids == ["a", "b", "c"]


async def test_an_id_is_one_entry_whoever_appends_it_again() -> None:
    async with brokers(2) as (here, there):
        (first,) = await here.append("a")
        assert await there.append("a", "a") == [first, first]
        async with a_broker(here.url, "late") as late:
            assert await late.append("a") == [first]
            assert late.got == [first]


async def test_an_id_is_remembered_for_fifteen_minutes_of_log_time() -> None:
    async with brokers(2) as (here, there):
        await here.append("old", "older")
        await reached([there], 2)
        await run(here.url, "UPDATE facts SET at = at - 900 WHERE position = 1")
        async with a_broker(here.url, "late") as late:
            old, older = await late.append("old", "older")
            assert (old.position, older.position) == (3, 2)


async def test_a_fact_is_as_old_as_it_is_though_the_commit_took_long() -> None:
    """It waits for another broker's transaction, which has the log's head."""
    async with brokers(1) as (here,):
        await here.append("first")
        holding = asyncio.ensure_future(
            run(here.url, "BEGIN; SELECT * FROM log_heads FOR UPDATE; SELECT pg_sleep(0.3); COMMIT")
        )
        await asyncio.sleep(0.1)
        asked, age_s = await here.database.now(), 2.5
        entry = await here.log.append(a_fact("late"), age_s)
        await holding
        assert entry.at > asked + 0.1
        assert entry.at - entry.age_s == pytest.approx(asked - age_s, abs=0.02)


async def test_providers_have_logs_of_their_own_and_nobody_waits_for_ever() -> None:
    """Batches over several providers, snapshots between them: no two brokers block each other."""
    providers = ("anthropic", "gemini", PROVIDER)
    async with brokers(2) as fleet:

        async def act(broker: Broker, provider: str) -> None:
            for number in range(15):
                name = f"{broker.database.name}{id(broker)}{number}"
                entry = await broker.log.append(a_fact(name, provider), 0.0)
                if number % 5 == 4:
                    with suppress(StoreUnavailableError):  # another broker does at this moment
                        await broker.log.save_snapshot(Snapshot(provider, entry.position, entry.at))

        await asyncio.gather(*(act(broker, name) for broker in fleet for name in providers))
        for name in providers:
            late = Positions()
            await fleet[0].log.follow(name, 0, late.take)
            assert late.got == list(range(1, 31))


class Positions:
    """A follower that notes where its entries are."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def take(self, entry: Logged) -> None:
        self.got.append(entry.position)


async def test_a_follower_misses_nothing_of_what_others_append_while_it_begins() -> None:
    async with brokers(2) as (here, there):
        followers = [Positions() for _ in range(15)]

        async def keep_appending() -> None:
            for number in range(60):
                await here.append(f"f{number}")

        appending = asyncio.ensure_future(keep_appending())
        for follower in followers:
            await there.log.follow(PROVIDER, 0, follower.take)
            await asyncio.sleep(0.005)
        await appending
        await reached([there], 60)
        assert all(follower.got == list(range(1, 61)) for follower in followers)


# --- What goes wrong --------------------------------------------------------------------------


async def test_an_entry_whose_commit_was_not_heard_of_is_not_made_twice() -> None:
    async with (
        new_database() as url,
        proxy_of(url) as proxy,
        a_broker(proxy.url(url), "here", DEADLINE_S) as here,
        a_broker(url, "there") as there,
    ):
        await here.append("first")
        for number in range(5):
            proxy.lose(b"COMMIT")
            with pytest.raises(StoreUnavailableError):
                await here.append(f"f{number}")
            proxy.heal()
            await here.insist(f"f{number}")
        await reached([here, there], 6)
        assert sorted(here.ids) == ["f0", "f1", "f2", "f3", "f4", "first"]
        check_one_order([here, there])


@pytest.mark.parametrize("seed", range(2))
async def test_connections_that_are_killed_all_the_time_lose_nothing(seed: int) -> None:
    random = Random(seed)
    async with brokers(3, DEADLINE_S) as fleet:

        async def act(broker: Broker, name: str) -> None:
            for number in range(40):
                await broker.insist(f"{name}{number}")
                await asyncio.sleep(random.random() * 0.02)

        acting = [asyncio.ensure_future(act(broker, f"{id(broker)}-")) for broker in fleet]
        for _ in range(6):
            await asyncio.sleep(random.random() * 0.2)
            await kill_connections(fleet[0].url)
        await asyncio.gather(*acting)
        await reached(fleet, 120)
        check_one_order(fleet)


async def test_a_database_that_is_frozen_is_told_of_in_time_and_goes_on_where_it_was() -> None:
    async with brokers(2, DEADLINE_S) as fleet:
        here, _ = fleet
        await here.append("before")
        server().freeze()
        try:
            began = time.monotonic()
            refused = await asyncio.gather(
                *(here.append(f"f{number}") for number in range(20)), return_exceptions=True
            )
            took = time.monotonic() - began
            await asyncio.sleep(3.0 - took)
        finally:
            server().thaw()
        assert took < 2.5
        assert {type(error) for error in refused} == {StoreUnavailableError}
        back = time.monotonic()
        await asyncio.gather(*(here.insist(f"f{number}") for number in range(20)))
        await reached(fleet, 21)
        assert time.monotonic() - back < 2.5
        check_one_order(fleet)


# --- Snapshots and followers that are left behind ---------------------------------------------


async def test_snapshots_by_several_brokers_at_once_do_no_harm() -> None:
    async with brokers(3) as fleet:
        entries = await fleet[0].append(*(f"f{number}" for number in range(12)))
        await reached(fleet, 12)
        saves = [
            broker.log.save_snapshot(Snapshot(PROVIDER, entry.position, entry.at))
            for entry, broker in zip(entries, cycle(fleet), strict=False)
        ]
        results = await asyncio.gather(*saves, return_exceptions=True)
        assert None in results
        assert {type(result) for result in results} <= {type(None), StoreUnavailableError}
        last = entries[-1]
        await fleet[1].log.save_snapshot(Snapshot(PROVIDER, last.position, last.at))
        newest = await fleet[2].log.snapshot(PROVIDER)
        assert newest is not None
        assert newest.position == 12


async def trim(broker: Broker, positions: Sequence[int]) -> None:
    """Save snapshots, of which each trims what the one before makes needless."""
    now = await broker.database.now()
    with nothing_remembered():
        for position in positions:
            await broker.log.save_snapshot(Snapshot(PROVIDER, position, now))


async def test_a_follower_that_slept_through_a_trim_notices_and_goes_on() -> None:
    async with brokers(2) as (here, asleep):
        await here.append("a", "b")
        await reached([asleep], 2)
        await asleep.feed.close()
        await here.append("c", "d", "e")
        await trim(here, [4, 5])
        (last,) = await here.append("f")
        assert asleep.losses == 0
        assert await asleep.append("f") == [last]
        assert (asleep.losses, asleep.ids) == (1, ["a", "b"])
        snapshot = await asleep.log.snapshot(PROVIDER)
        assert snapshot is not None
        await asleep.follow(snapshot.position)
        await here.append("g")
        await asleep.append("h")
        assert asleep.ids == ["a", "b", "f", "g", "h"]
        assert (here.losses, asleep.losses) == (0, 1)


async def test_a_follower_that_begins_before_the_oldest_entry_notices() -> None:
    async with brokers(1) as (here,):
        await here.append(*"abcdef")
        await trim(here, [4, 5])
        lost: list[str] = []
        early, late = Positions(), Positions()
        await here.log.follow(PROVIDER, 2, early.take, lambda: lost.append("early"))
        await here.log.follow(PROVIDER, 5, late.take, lambda: lost.append("late"))
        assert (lost, early.got, late.got) == (["early"], [], [6])


async def test_a_log_that_lost_its_end_is_another_log() -> None:
    """As after a failover to a server that had not heard of the last commits."""
    async with brokers(2) as (here, there):
        await here.append(*"abcd")
        await reached([there], 4)
        await there.feed.close()
        await run(here.url, "DELETE FROM facts WHERE position > 2")
        await run(here.url, "UPDATE log_heads SET position = 2, at = (SELECT max(at) FROM facts)")
        await here.append(*"efg")
        assert (here.losses, there.losses) == (1, 0)
        await there.append("h")
        assert there.losses == 1
        await there.follow()
        assert there.ids == [*"abcd", *"abefgh"]


async def test_a_snapshot_of_what_the_log_does_not_have_is_refused() -> None:
    async with brokers(1) as (here,):
        (entry,) = await here.append("a")
        with pytest.raises(StoreUnavailableError, match="is gone"):
            await here.log.save_snapshot(Snapshot(PROVIDER, entry.position + 1, entry.at))
        assert await here.log.snapshot(PROVIDER) is None


async def test_what_was_logged_without_heads_has_them_from_the_next_start_on() -> None:
    async with brokers(1) as (here,):
        await here.append(*"abc")
        await run(here.url, "DELETE FROM log_heads")
        async with a_broker(here.url) as late:
            (entry,) = await late.append("d")
            assert entry.position == 4


async def test_a_clock_that_is_wrong_trims_nothing_too_early() -> None:
    async with brokers(1) as (here,):
        entries = await here.append(*"abc")
        for entry in entries:
            await here.log.save_snapshot(Snapshot(PROVIDER, entry.position, entry.at + 9e6))
        late = Positions()
        await here.log.follow(PROVIDER, 0, late.take)
        assert late.got == [1, 2, 3]


async def test_a_log_whose_database_is_closed_raises_what_a_log_may() -> None:
    async with new_database() as url:
        database = await Database.open(url)
        log = await SqlSharedFactLog.open(database, SystemClock())
        await database.close()
        with pytest.raises(StoreUnavailableError, match="the database is closed"):
            await log.append(a_fact("a"), 0.0)
        with pytest.raises(StoreUnavailableError, match="the database is closed"):
            await log.follow(PROVIDER, 0, lambda _: None)
