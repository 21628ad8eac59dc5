"""What cannot be read is told, and hides nothing else."""

import asyncio
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text, update

from broker.adapters.sql import Database, SqlEventHistory, SqlKeyStore, SqlMarkStore
from broker.adapters.sql.schema import KEYS
from broker.ports.errors import StoreUnavailableError
from tests.fakes import FakeClock
from tests.integration.sql.disturbing import execute, opened, run
from tests.integration.sql.sql_given import MARK, POLICY, a_key, an_event, damage


async def test_damage_while_it_runs_is_told(path: Path, database: Database) -> None:
    await SqlMarkStore(database).put(MARK)
    await database.close()
    async with opened(path) as reopened:
        damage(path, "marks")
        both_read = threading.Barrier(2)

        def read(connection: Connection) -> None:
            both_read.wait()  # so that one has a connection that has not read the page before
            connection.execute(text("SELECT * FROM marks")).fetchall()

        results = await asyncio.gather(
            reopened.read(read), reopened.read(read), return_exceptions=True
        )
        assert "it is damaged: stop the broker" in repr(results)


async def test_a_damaged_row_is_told_and_the_others_are_read(database: Database) -> None:
    keys = SqlKeyStore(database)
    await keys.create(a_key("acme/1"), POLICY)
    await keys.create(a_key("bravo/1", tenant="bravo"), replace(POLICY, tenant="bravo"))
    for column, value in (
        ("models", "{"),
        ("expires_at", "soon"),
        ("weight", "x"),
        ("models", "[]"),
        ("updated_at", "9e999"),
    ):
        change = update(KEYS).where(KEYS.c.key_id == "acme/1").values({column: text(f"'{value}'")})
        await database.write(partial(execute, change=change))
        with pytest.raises(StoreUnavailableError, match="a key 'acme/1' that cannot be read"):
            await keys.key("acme/1")
    assert await keys.key("bravo/1") == a_key("bravo/1", tenant="bravo")


async def test_a_policy_that_cannot_be_read_is_no_policy_to_guess(database: Database) -> None:
    keys = SqlKeyStore(database)
    await keys.put_policy(POLICY)
    await run(database, "UPDATE tenant_policies SET mode = 'OPEN_TO_ALL'")
    with pytest.raises(StoreUnavailableError, match="a policy of tenant 'acme' that cannot"):
        await keys.tenant("acme")


@pytest.mark.parametrize("damaged", ["record = '{'", "at = 1e300", "at = 9e999"])
async def test_an_event_that_cannot_be_read_hides_no_other(
    database: Database, damaged: str
) -> None:
    history = SqlEventHistory(database, FakeClock())
    for number in range(3):
        history.record(an_event(number))
    await history.page(before=None, limit=1)
    await run(database, f"UPDATE events SET {damaged} WHERE number = 2")  # noqa: S608
    page, cursor = await history.page(before=None, limit=2)
    assert [event.event_id for event in page] == ["e2"]
    page, _ = await history.page(before=cursor, limit=2)
    assert [event.event_id for event in page] == ["e0"]
