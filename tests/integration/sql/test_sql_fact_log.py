"""What only a log on a disk does: it goes on where the last process ended."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from broker.adapters.sql import Database, SqlFactLog, last_logged_at
from broker.core.health import FACT_MEMORY_S
from broker.core.snapshot import Snapshot
from broker.ports.errors import StoreUnavailableError
from tests.fakes import START, FakeClock, eventually
from tests.integration.sql.log_given import a_life, append, entries, following, save
from tests.integration.sql.sql_given import rows_of


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_positions_and_entries_go_on_in_the_next_life(path: Path, clock: FakeClock) -> None:
    async with a_life(path, clock) as log:
        first = await append(log, "a", "b")
        await append(log, "c", provider="anthropic")
    async with a_life(path, clock) as log:
        second = await append(log, "d")
        assert [entry.position for entry in first + second] == [1, 2, 3]
        assert await entries(log) == first + second


async def test_log_time_goes_on_though_the_clock_was_set_back(path: Path, clock: FakeClock) -> None:
    async with a_life(path, clock) as log:
        (before,) = await append(log, "a")
    clock.set(START - 3600.0)
    async with a_life(path, clock) as log:
        (after,) = await append(log, "b")
    assert after.at == before.at == START


async def test_a_clock_can_be_started_where_log_time_ended(path: Path, clock: FakeClock) -> None:
    database = await Database.open(path)
    assert await last_logged_at(database) == 0.0
    log = await SqlFactLog.open(database, clock)
    await append(log, "a", provider="anthropic")
    assert await last_logged_at(database) == START
    clock.advance(60.0)
    await log.save_snapshot(Snapshot("openai", 0, clock.now()))
    assert await last_logged_at(database) == START + 60.0
    await database.close()


async def test_an_id_is_remembered_for_fifteen_minutes_over_restarts(
    path: Path, clock: FakeClock
) -> None:
    async with a_life(path, clock) as log:
        (first,) = await append(log, "a")
    clock.advance(FACT_MEMORY_S - 1.0)
    async with a_life(path, clock) as log:
        assert await append(log, "a", "a") == [first, first]
        clock.advance(1.0)
        (again,) = await append(log, "a")
        assert again.position == 2


async def test_a_snapshot_trims_only_what_it_and_the_one_before_make_needless(
    path: Path, clock: FakeClock
) -> None:
    async with a_life(path, clock) as log:
        await append(log, *"abcd")
        await save(log, clock, 2)
        clock.advance(3600.0)
        assert len(await entries(log)) == 4
        await append(log, "e")
        await save(log, clock, 4)
        assert [entry.fact.fact_id for entry in await entries(log)] == ["c", "d", "e"]
        await append(log, "f")
        await save(log, clock, 5)
        assert [entry.fact.fact_id for entry in await entries(log)] == ["e", "f"]
    assert len(rows_of(path)["snapshots"]) == 2


async def test_positions_go_on_where_all_was_trimmed(path: Path, clock: FakeClock) -> None:
    async with a_life(path, clock) as log:
        await append(log, *"abc")
        for position in (2, 3, 3):
            clock.advance(3600.0)
            await log.save_snapshot(Snapshot("openai", position, clock.now()))
        await log.save_snapshot(Snapshot("openai", 4, clock.now()))
        assert await entries(log) == []
    async with a_life(path, clock) as log:
        assert (await append(log, "d"))[0].position == 5


# --- Commits whose end is not known -----------------------------------------------------------


async def test_an_entry_whose_commit_was_not_heard_of_is_found_and_not_made_twice(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await SqlFactLog.open(database, clock)
    got = await following(log)
    write = database.write

    async def write_unheard(work: Callable[[Connection], object]) -> object:
        await write(work)
        raise StoreUnavailableError("the disk hangs")

    monkeypatch.setattr(database, "write", write_unheard)
    with pytest.raises(StoreUnavailableError, match="the disk hangs"):
        await append(log, "a")
    assert got == []
    monkeypatch.setattr(database, "write", write)
    found, after = await append(log, "a", "b")
    assert (found.position, after.position) == (1, 2)
    assert got == [found, after]


async def test_a_caller_that_leaves_takes_no_fact_with_it(
    database: Database, clock: FakeClock
) -> None:
    log = await SqlFactLog.open(database, clock)
    got = await following(log)
    leaving = asyncio.ensure_future(append(log, "a"))
    await asyncio.sleep(0)
    leaving.cancel()
    await eventually(lambda: bool(got))
    assert await append(log, "a") == got


async def test_a_follower_misses_nothing_of_what_is_appended_while_it_begins(
    database: Database, clock: FakeClock
) -> None:
    log = await SqlFactLog.open(database, clock)
    followers: list[list[int]] = []

    async def follow() -> None:
        got: list[int] = []
        followers.append(got)
        await log.follow("openai", 0, lambda entry: got.append(entry.position))

    async def keep_appending() -> None:
        for number in range(60):
            await append(log, f"f{number}")

    appending = asyncio.ensure_future(keep_appending())
    for _ in range(15):
        await follow()
    await appending
    assert all(got == list(range(1, 61)) for got in followers)


async def test_a_follower_that_cannot_begin_hears_nothing_later(
    path: Path, clock: FakeClock
) -> None:
    database = await Database.open(path)
    log = await SqlFactLog.open(database, clock)
    await database.close()
    with pytest.raises(StoreUnavailableError, match="the database is closed"):
        await entries(log)
    with pytest.raises(StoreUnavailableError, match="the database is closed"):
        await append(log, "a")
