"""What PostgreSQL's triggers tell brokers of a change, with its commit and not before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.sql import SQL
from sqlalchemy import Connection, text

from broker.adapters.sql import Database, SqlKeyStore, SqlLastGoodStore, SqlMarkStore
from broker.adapters.sql.migrations.triggers import TOLD_ONE_BY_ONE
from tests.integration.sql.postgres_given import brokers
from tests.integration.sql.sql_given import LAST_GOOD, MARK, POLICY, a_key, a_revision
from tests.postgres import execute, new_database


class Watched:
    """A database, and what its triggers tell."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self._seen = 0

    async def told(self) -> set[tuple[object, ...]]:
        """The topics and names of what was told since the last time."""
        rows = await execute(
            SQL("SELECT number, topic, name FROM changes ORDER BY number"), self.url
        )
        new = rows[self._seen :]
        self._seen = len(rows)
        return {row[1:] for row in new}

    async def does(self, statement: str) -> None:
        await execute(SQL(statement), self.url)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with new_database() as url, brokers(url, "here") as (database,):
        yield Watched(url, database)


@asynccontextmanager
async def heard(url: str, channel: str) -> AsyncIterator[list[str]]:
    """What is notified meanwhile."""
    payloads: list[str] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(SQL("LISTEN ") + SQL(channel))
        yield payloads
        payloads.extend([told.payload async for told in connection.notifies(timeout=0.2)])


async def test_every_change_of_a_tenant_s_names_the_tenant(watched: Watched) -> None:
    keys = SqlKeyStore(watched.database)
    await keys.create(a_key("acme/1"), POLICY)
    assert await watched.told() == {("tenant", "acme")}
    for change in (
        keys.put_policy(replace(POLICY, set_by="bob")),
        keys.add_revision("acme/1", a_revision("new")),
        keys.note_authenticated("acme/1", "new", 2.0),
        keys.drop_revision("acme/1", "revision of acme/1"),
        keys.update("acme/1", a_key("acme/1").settings, 2.0),
        keys.delete("acme/1"),
    ):
        await change
        assert await watched.told() == {("tenant", "acme")}


async def test_marks_and_agreements_are_told_as_such(watched: Watched) -> None:
    marks = SqlMarkStore(watched.database)
    await marks.put(MARK)
    assert await watched.told() == {("marks", "")}
    await marks.put(replace(MARK, reason="again"))
    assert await watched.told() == {("marks", "")}
    await marks.remove(MARK.kind, MARK.subject)
    assert await watched.told() == {("marks", "")}
    for statement in (
        "INSERT INTO agreements VALUES ('name', 'value')",
        "UPDATE agreements SET value = 'other'",
        "DELETE FROM agreements",
    ):
        await watched.does(statement)
        assert await watched.told() == {("agreements", "")}


async def test_what_changes_nothing_is_not_told(watched: Watched) -> None:
    await SqlKeyStore(watched.database).delete("nobody")
    await SqlMarkStore(watched.database).remove(MARK.kind, "nobody")
    await SqlLastGoodStore(watched.database).put(LAST_GOOD)
    assert await watched.told() == set()


async def test_what_is_rolled_back_is_not_told(watched: Watched) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("INSERT INTO agreements VALUES ('name', 'value')"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await watched.database.write(work)
    assert await watched.told() == set()


async def test_a_tenant_that_gives_a_row_to_another_is_told_with_it(watched: Watched) -> None:
    await SqlKeyStore(watched.database).create(a_key("acme/1"), POLICY)
    await watched.told()
    await watched.does("UPDATE keys SET tenant = 'bravo'")
    assert await watched.told() == {("tenant", "acme"), ("tenant", "bravo")}


async def test_more_tenants_than_can_be_named_are_everything(watched: Watched) -> None:
    insert = (
        "INSERT INTO tenant_policies SELECT 't' || n, 'openai', 'SYSTEM_ONLY', '[]', '', 0"
        " FROM generate_series({}, {}) AS n"
    )
    await watched.does(insert.format(1, TOLD_ONE_BY_ONE))
    assert len(await watched.told()) == TOLD_ONE_BY_ONE
    await watched.does(insert.format(TOLD_ONE_BY_ONE + 1, 2 * TOLD_ONE_BY_ONE + 1))
    assert await watched.told() == {("everything", "")}


async def test_a_change_wakes_whoever_listens_and_facts_name_their_provider(
    watched: Watched,
) -> None:
    facts = "INSERT INTO facts VALUES ('openai', {0}, 0, 0, ''), ('azure', {0}, 0, 0, '')"
    async with heard(watched.url, "keybroker") as payloads:
        await SqlMarkStore(watched.database).put(MARK)
    assert payloads == [""]
    async with heard(watched.url, "keybroker_facts") as payloads:
        await watched.does(facts.format(1))
    assert sorted(payloads) == ["azure", "openai"]


async def test_a_change_carries_the_transaction_that_made_it(watched: Watched) -> None:
    """So that one which commits late is not taken for one that was seen."""
    first = SQL("SELECT pg_current_xact_id()::text")
    connection = await psycopg.AsyncConnection.connect(watched.url)
    async with connection:
        cursor = await connection.execute(first)
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute("INSERT INTO agreements VALUES ('name', 'value')")
        await asyncio.gather(SqlMarkStore(watched.database).put(MARK))
    told = await execute(
        SQL("SELECT xid::text FROM changes WHERE topic = 'agreements'"), watched.url
    )
    assert told == [row]


@pytest.mark.parametrize("table", ["keys, key_revisions", "tenant_policies", "marks", "agreements"])
async def test_a_table_that_is_emptied_at_once_changes_everything(
    watched: Watched, table: str
) -> None:
    await watched.does(f"TRUNCATE {table}")
    assert await watched.told() == {("everything", "")}
