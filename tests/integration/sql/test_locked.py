"""A database that another process has locked: an answer in time, and nothing lost."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.adapters.sql import Database, SqlEventHistory, SqlFactLog, SqlKeyStore, SqlMarkStore
from broker.core.sealed import SealedSecret
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from tests.fakes import FakeClock, eventually
from tests.integration.sql.disturbing import locked, opened, refused
from tests.integration.sql.postgres_given import PROMPTLY_S, back_after, calls
from tests.integration.sql.sql_given import MARK, POLICY, a_fact, a_key, an_event, rows_of


async def test_a_locked_database_refuses_writes_in_time_and_still_reads(
    path: Path, database: Database
) -> None:
    store = SqlMarkStore(database)
    await store.put(MARK)
    with locked(path, "BEGIN IMMEDIATE"):
        began = time.monotonic()
        assert await refused(database) == (
            "the database does not work: another process holds a lock on it"
        )
        assert time.monotonic() - began < 1.0
        assert database.fault == "another process holds a lock on it"
        assert await store.marks() == (MARK,)
    await store.put(replace(MARK, subject="after"))
    assert database.fault == ""
    assert len(await store.marks()) == 2


async def test_a_locked_database_keeps_nobody_waiting(path: Path) -> None:
    """With the times that a broker has: each of many calls fails within a second."""
    database = await Database.open(path)
    with locked(path, "BEGIN IMMEDIATE"):
        failed = await calls(database)
        assert max(call.after_s for call in failed) < PROMPTLY_S
        assert [bool(call.why) for call in failed] == [False] * 10 + [True] * 10
    assert await back_after(database) < PROMPTLY_S
    await database.close()


async def test_a_lock_that_is_given_back_in_time_is_waited_for(path: Path) -> None:
    async with opened(path, busy_s=2.0) as database:
        with locked(path, "BEGIN IMMEDIATE"):
            writing = asyncio.ensure_future(SqlMarkStore(database).put(MARK))
            await asyncio.sleep(0.1)
            assert not writing.done()
        await writing


async def test_a_database_that_another_program_locks_whole_is_refused(path: Path) -> None:
    await (await Database.open(path)).close()
    with (
        locked(path, "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"),
        pytest.raises(StoreUnusableError, match="another process holds a lock on it"),
    ):
        await Database.open(path, busy_s=0.1)
    await (await Database.open(path)).close()


async def test_an_episode_is_logged_once_and_its_end(path: Path, database: Database) -> None:
    with capture_logs() as logs:
        with locked(path, "BEGIN IMMEDIATE"):
            for _ in range(3):
                await refused(database)
            await SqlMarkStore(database).marks()
        await SqlMarkStore(database).put(MARK)
        await SqlMarkStore(database).put(MARK)
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("database_unavailable", "error"),
        ("database_back", "info"),
    ]


async def test_facts_that_a_locked_log_refused_are_appended_once_it_is_free(
    path: Path, database: Database
) -> None:
    log = await SqlFactLog.open(database, FakeClock())
    with locked(path, "BEGIN IMMEDIATE"):
        results = await asyncio.gather(
            *(log.append(a_fact(f"f{number}"), 0.0) for number in range(3)), return_exceptions=True
        )
        assert all(isinstance(result, StoreUnavailableError) for result in results)
    entries = [await log.append(a_fact(f"f{number}"), 0.0) for number in range(3)]
    assert [entry.position for entry in entries] == [1, 2, 3]


async def test_events_wait_for_a_locked_history_and_the_oldest_are_forgotten(
    path: Path, database: Database
) -> None:
    history = SqlEventHistory(database, FakeClock(), max_queue=3)
    with locked(path, "BEGIN IMMEDIATE"):
        for number in range(5):
            history.record(an_event(number))
        with pytest.raises(StoreUnavailableError):
            await history.page(before=None, limit=5)
    with capture_logs() as logs:
        page, _ = await history.page(before=None, limit=5)
    assert [event.event_id for event in page] == ["e4", "e3", "e2"]
    assert [line["events"] for line in logs if line["event"] == "events_dropped"] == [2]


async def test_events_are_written_after_a_while_though_nobody_asks(
    path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.adapters.sql.event_history.RETRY_S", 0.05)
    history = SqlEventHistory(database, FakeClock())
    with locked(path, "BEGIN IMMEDIATE"):
        history.record(an_event(1))
        await eventually(lambda: database.fault != "")
    await eventually(lambda: database.fault == "")
    await history.close()
    assert len(rows_of(path)["events"]) == 1


async def test_no_error_tells_what_was_to_be_written(path: Path, database: Database) -> None:
    canary = "sk-canary"
    sealed = SealedSecret(canary, canary.encode(), canary.encode())
    key = a_key("acme/1")
    canaries = replace(key, revisions=(replace(key.revisions[0], sealed=sealed),))
    with (
        capture_logs() as logs,
        locked(path, "BEGIN IMMEDIATE"),
        pytest.raises(StoreUnavailableError) as caught,
    ):
        await SqlKeyStore(database).create(canaries, POLICY)
    error: BaseException | None = caught.value
    while error is not None:
        assert canary not in repr(error)
        error = error.__cause__
    assert canary not in repr(logs)


async def test_a_closed_database_says_so(database: Database) -> None:
    await database.close()
    assert await refused(database) == "the database is closed"
