"""PostgreSQL's schema: a person migrates it, brokers refuse what they do not know."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, inspect, text

from broker.adapters.sql import (
    Database,
    SqlKeyStore,
    current_revision,
    downgrade_database,
    sealing_keys,
    upgrade_database,
)
from broker.adapters.sql import postgres as postgres_module
from broker.adapters.sql.examining import Finding, examine
from broker.adapters.sql.last_good_store import find_sealing_keys
from broker.adapters.sql.migrating import revisions
from broker.adapters.sql.schema import METADATA, REVISION
from broker.adapters.sql.upgrading import connected
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from tests.integration.sql.postgres_given import brokers, set_default
from tests.integration.sql.sql_given import POLICY, a_key
from tests.postgres import execute, new_database, server

SEALED = """
INSERT INTO keys SELECT 'k' || n, 't' || n, 'openai', '{}', 1, 0, 0, 0, 0, '', NULL, '', 0, 0
FROM generate_series(1, 100000) AS n;
INSERT INTO key_revisions SELECT 'k' || n, 'r' || n, 't' || n, 'openai', 0,
    CASE WHEN n % 2 = 0 THEN 'older' ELSE 'newer' END, 'w', 'c', 0, NULL
FROM generate_series(1, 100000) AS n;
"""


async def refused(url: str) -> str:
    """Why a broker surely does not start on a database, whose schema stays as it is."""
    with pytest.raises(StoreUnusableError) as caught:
        await Database.open(url)
    return str(caught.value)


async def test_a_broker_makes_no_tables_in_a_shared_database() -> None:
    async with new_database(schema=False) as url:
        why = await refused(url)
        assert "it has no tables yet, and this version needs" in why
        assert "run 'keybroker db upgrade'" in why
        assert current_revision(url) == ""


async def test_a_broker_refuses_an_older_schema_and_leaves_it() -> None:
    async with new_database() as url:
        downgrade_database(url, "0001")
        assert "its schema is 0001, and this version needs" in await refused(url)
        assert current_revision(url) == "0001"


async def test_a_broker_refuses_a_newer_schema() -> None:
    async with new_database() as url:
        await execute(SQL("UPDATE alembic_version SET version_num = '9999'"), url)
        assert "its schema is 9999, and this version knows those up to" in await refused(url)
        with pytest.raises(StoreUnusableError, match="its schema is 9999"):
            upgrade_database(url)


async def test_another_program_s_tables_are_left_alone() -> None:
    async with new_database(schema=False) as url:
        await execute(SQL("CREATE TABLE keys (id int)"), url)
        with pytest.raises(StoreUnusableError, match="it holds tables that are not Keybroker's"):
            upgrade_database(url)
        assert "it holds tables that are not Keybroker's" in await refused(url)


async def test_a_server_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "OLDEST", 99)
    async with new_database() as url:
        assert "use 99 or one that is newer" in await refused(url)


async def test_two_that_upgrade_at_once_do_it_once() -> None:
    async with new_database(schema=False) as url:
        done = await asyncio.gather(*(asyncio.to_thread(upgrade_database, url) for _ in range(3)))
        assert sorted(done) == sorted([("", REVISION), (REVISION, REVISION), (REVISION, REVISION)])
        async with brokers(url, "here") as (database,):
            await SqlKeyStore(database).create(a_key("acme/1"), POLICY)


async def test_each_step_can_be_taken_back_and_again() -> None:
    async with new_database(schema=False) as url:
        for step in revisions():
            assert upgrade_database(url, revision=step)[1] == step
        newest = shape(url)
        for step in (*reversed(revisions()[:-1]), "base"):
            downgrade_database(url, step)
        assert shape(url).keys() == {"alembic_version"}
        functions = SQL("SELECT proname FROM pg_proc WHERE proname LIKE 'keybroker%'")
        assert await execute(functions, url) == []
        upgrade_database(url)
        assert shape(url) == newest


async def test_a_step_that_fails_changes_nothing() -> None:
    async with new_database(schema=False) as url:
        upgrade_database(url, revision="0001")
        before = shape(url)
        await execute(
            SQL("CREATE FUNCTION keybroker_tell_topic() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
            url,
        )
        with pytest.raises(StoreUnavailableError):
            upgrade_database(url)
        assert (shape(url), current_revision(url)) == (before, "0001")


async def test_the_steps_lead_to_the_tables_that_the_code_uses() -> None:
    async with new_database() as url:
        with connected(url) as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []


async def test_constraints_are_named_by_the_convention() -> None:
    async with new_database() as url:
        with connected(url) as connection:
            inspected = inspect(connection)
            for table in METADATA.tables.values():
                found = {
                    inspected.get_pk_constraint(table.name)["name"],
                    *(each["name"] for each in inspected.get_unique_constraints(table.name)),
                    *(each["name"] for each in inspected.get_foreign_keys(table.name)),
                }
                assert found == {constraint.name for constraint in table.constraints}


async def test_all_text_is_ordered_as_python_orders_it() -> None:
    async with new_database() as url:
        ordered = SQL(
            "SELECT DISTINCT collation_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'text'"
        )
        assert await execute(ordered, url) == [("C",)]
        ids = ["a", "B", "Z", "ä", "_", "aa", "A-", "A_", "☃"]
        async with brokers(url, "here") as (database,):
            keys = SqlKeyStore(database)
            for key_id in ids:
                await keys.create(a_key(key_id), POLICY)
            page = await keys.page(after=("", ""), limit=20)
            assert [key.key_id for key in page] == sorted(ids)
            assert [key.key_id for key in await keys.page(after=("openai", "_"), limit=20)] == [
                key_id for key_id in sorted(ids) if key_id > "_"
            ]


async def test_the_sealing_keys_of_many_rows_are_found_without_reading_them_all() -> None:
    async with new_database() as url:
        await execute(SQL(SEALED), url)
        await execute(SQL("ANALYZE key_revisions"), url)
        async with brokers(url, "here") as (database,):
            began = time.monotonic()
            assert await sealing_keys(database) == {"older", "newer"}
            assert time.monotonic() - began < 0.1
            read = await database.read(rows_read)
        assert read < 100


def rows_read(connection: Connection) -> int:
    """How many rows of revisions it takes to find the sealing keys."""
    before = connection.scalar(text(_READ)) or 0
    find_sealing_keys(connection)
    return (connection.scalar(text(_READ)) or 0) - before


_READ = """
SELECT pg_stat_get_xact_tuples_returned('key_revisions'::regclass)
    + sum(pg_stat_get_xact_tuples_returned(indexrelid))
FROM pg_index WHERE indrelid = 'key_revisions'::regclass
"""


def faults(url: str) -> list[str]:
    return [f"{finding.name}: {finding.fault}" for finding in examine(url) if finding.fault]


async def test_a_check_finds_nothing_wrong_with_a_good_database() -> None:
    async with new_database() as url:
        assert faults(url) == []
        async with brokers(url, "here") as (database,):
            await SqlKeyStore(database).create(a_key("acme/1"), POLICY)
        sealed_by = a_key("acme/1").revisions[0].sealed.sealed_by
        assert examine(url)[-1] == Finding("sealing keys", f"rows are sealed by {sealed_by}")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DROP TABLE marks", "tables: marks is missing"),
        ("ALTER TABLE marks DROP COLUMN reason", "tables: marks.reason is missing"),
        ("ALTER TABLE marks ADD COLUMN colour int", "tables: marks.colour is not ours"),
        ("DROP TRIGGER keybroker_keys_insert ON keys", "triggers: keybroker_keys_insert missing"),
        ("ALTER TABLE keys DISABLE TRIGGER ALL", "triggers: keybroker_keys_delete, keybroker_keys"),
        ("UPDATE alembic_version SET version_num = '0001'", "schema: the schema is 0001, and"),
        ("UPDATE alembic_version SET version_num = '9999'", "usable: the database postgresql://"),
    ],
)
async def test_a_check_names_what_is_wrong_with_the_tables(statement: str, fault: str) -> None:
    async with new_database() as url:
        await execute(SQL(statement), url)
        (found,) = faults(url)
        assert found.startswith(fault)


async def test_a_check_names_the_rights_that_are_missing() -> None:
    async with new_database() as url:
        with a_role("clerk") as password:
            name = Identifier(url.rpartition("/")[2])
            await execute(SQL("GRANT CONNECT ON DATABASE {} TO clerk").format(name))
            await execute(SQL("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk"), url)
            theirs = f"postgresql://clerk:{password}@{url.rpartition('@')[2]}"
            (found,) = faults(theirs)
            assert "rights: the user lacks UPDATE on all tables; DELETE on all tables" in found
            assert "USAGE on events_number_seq: grant it" in found
            await execute(SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM clerk"), url)


async def test_a_check_tells_of_a_database_that_was_made_read_only() -> None:
    async with new_database() as url:
        await set_default(url, "default_transaction_read_only", "on")
        assert faults(url) == [
            "writable: default_transaction_read_only is on: end what made it read-only"
        ]


async def test_a_check_tells_that_nothing_answers(tmp_path: Path) -> None:
    (found,) = faults("postgresql://u@127.0.0.1:1/keybroker")
    assert found.startswith("reachable: the database postgresql://127.0.0.1:1/keybroker does not")


def shape(url: str) -> dict[str, list[str]]:
    """Tables, their columns and indexes."""
    with connected(url) as connection:
        inspected = inspect(connection)
        return {
            table: [
                *(f"{c['name']} {c['type']!r}" for c in inspected.get_columns(table)),
                *sorted(str(index["name"]) for index in inspected.get_indexes(table)),
            ]
            for table in inspected.get_table_names()
        }


@contextmanager
def a_role(name: str) -> Iterator[str]:
    """A user of the server without rights; its password."""
    with psycopg.connect(server().url(), autocommit=True) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'canary'").format(Identifier(name)))
        yield "canary"
        connection.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))
