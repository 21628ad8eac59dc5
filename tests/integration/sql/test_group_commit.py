"""The writer: many changes a commit, each on its own, none after its caller was told otherwise."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, insert

from broker.adapters.sql import Database, SqlFactLog, SqlKeyStore, SqlMarkStore
from broker.adapters.sql.schema import MARKS
from broker.ports.errors import DuplicateSecretError, StoreUnavailableError
from tests.fakes import FakeClock
from tests.integration.sql.sql_given import MARK, POLICY, a_fact, a_key

VALUES = {"kind": "key_disabled", "at": 1.0, "principal": "alice", "reason": ""}


@contextmanager
def counting_commits() -> Iterator[list[str]]:
    """What is committed meanwhile, reads as well."""
    commits: list[str] = []

    def note(connection: Connection) -> None:
        if connection.get_execution_options().get("writes"):
            commits.append("commit")

    event.listen(Engine, "commit", note)
    yield commits
    event.remove(Engine, "commit", note)


class Held:
    """Work that begins, and goes on when it is let."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.times = 0

    def __call__(self, connection: Connection) -> None:
        self.times += 1
        connection.execute(insert(MARKS).values(subject=self.subject, **VALUES))
        self.began.set()
        self.go_on.wait(5)


async def subjects(database: Database) -> set[str]:
    return {mark.subject for mark in await SqlMarkStore(database).marks()}


async def test_facts_that_come_together_are_one_commit(database: Database) -> None:
    log = await SqlFactLog.open(database, FakeClock())
    with counting_commits() as commits:
        entries = await asyncio.gather(*(log.append(a_fact(f"f{n}"), 0.0) for n in range(100)))
    assert [entry.position for entry in entries] == list(range(1, 101))
    assert len(commits) == 1


async def test_changes_that_wait_for_a_commit_are_the_next_together(database: Database) -> None:
    store, held = SqlMarkStore(database), Held("held")
    with counting_commits() as commits:
        first = asyncio.ensure_future(database.write(held))
        await asyncio.to_thread(held.began.wait)
        others = [store.put(replace(MARK, subject=f"s{number}")) for number in range(50)]
        waiting = asyncio.gather(*others)
        await asyncio.sleep(0)
        held.go_on.set()
        await asyncio.gather(first, waiting)
    assert len(commits) == 2
    assert len(await subjects(database)) == 51


async def test_a_change_that_is_refused_takes_no_other_with_it(database: Database) -> None:
    keys = SqlKeyStore(database)
    await keys.create(a_key("acme/1", "aa"), POLICY)
    results = await asyncio.gather(
        keys.create(a_key("acme/2", "bb"), POLICY),
        keys.create(a_key("acme/3", "aa"), POLICY),
        keys.create(a_key("acme/4", "cc"), POLICY),
        database.write(lambda connection: 1 // 0),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        type(None),
        DuplicateSecretError,
        type(None),
        ZeroDivisionError,
    ]
    assert [key.key_id for key in (await keys.tenant("acme")).keys] == [
        "acme/1",
        "acme/2",
        "acme/4",
    ]


async def test_a_constraint_that_nobody_explains_is_no_driver_s_error(database: Database) -> None:
    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(insert(MARKS).values(subject="s", **VALUES))

    with pytest.raises(StoreUnavailableError, match="it contradicts what the database holds"):
        await database.write(twice)
    assert await subjects(database) == set()


async def test_what_is_not_done_in_time_is_not_done_later(path: Path) -> None:
    database, held = await Database.open(path, deadline_s=0.1), Held("late")
    with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.1 s"):
        await database.write(held)
    with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.1 s"):
        await SqlMarkStore(database).put(MARK)
    held.go_on.set()
    await database.close()
    again = await Database.open(path)
    assert await subjects(again) == set()
    await again.close()


async def test_what_was_given_up_is_left_out_and_the_rest_is_done(database: Database) -> None:
    first, given_up, kept = Held("first"), Held("given up"), Held("kept")
    writes = [asyncio.ensure_future(database.write(work)) for work in (first, given_up, kept)]
    await asyncio.to_thread(first.began.wait)
    first.go_on.set()
    await asyncio.to_thread(given_up.began.wait)
    writes[1].cancel()
    await asyncio.sleep(0)
    given_up.go_on.set()
    kept.go_on.set()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
    assert await subjects(database) == {"first", "kept"}
    assert given_up.times == 1


async def test_a_read_that_takes_too_long_holds_no_other_up(path: Path) -> None:
    database, go_on = await Database.open(path, deadline_s=0.1), threading.Event()
    with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.1 s"):
        await database.read(lambda _connection: go_on.wait(5))
    assert await subjects(database) == set()
    go_on.set()
    await database.close()


async def test_a_read_sees_one_moment(database: Database) -> None:
    """Its parts belong together, whatever is written between them."""
    store, between, go_on = SqlMarkStore(database), threading.Event(), threading.Event()

    def read(connection: Connection) -> tuple[int, int]:
        before = len(connection.execute(MARKS.select()).fetchall())
        between.set()
        go_on.wait(5)
        return before, len(connection.execute(MARKS.select()).fetchall())

    reading = asyncio.ensure_future(database.read(read))
    await asyncio.to_thread(between.wait)
    await store.put(MARK)
    go_on.set()
    assert await reading == (0, 0)
    assert len(await store.marks()) == 1


async def test_what_was_begun_is_finished_by_a_close(path: Path, database: Database) -> None:
    store = SqlMarkStore(database)
    puts = [
        asyncio.ensure_future(store.put(replace(MARK, subject=f"s{number}")))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*puts)
    again = await Database.open(path)
    assert len(await subjects(again)) == 20
    await again.close()
