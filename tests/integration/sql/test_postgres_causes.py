"""What PostgreSQL's errors become: a cause that a person can act on, and nothing of their text."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from psycopg.sql import SQL
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from broker.adapters.sql import Database, SqlKeyStore, SqlMarkStore
from broker.adapters.sql.postgres_connection import Address
from broker.core.sealed import SealedSecret
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from tests.integration.sql.postgres_given import behind_a_proxy, brokers, ended
from tests.integration.sql.sql_given import MARK, POLICY, a_key
from tests.postgres import execute, new_database

CANARY = "sk-canary"


@asynccontextmanager
async def a_database() -> AsyncIterator[tuple[str, Database]]:
    async with new_database() as url, brokers(url, "here") as (database,):
        yield url, database


def run(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("53100", "its disk is full: make room"),
        ("53200", "its server's memory ran out"),
        ("53300", "its server takes no more connections: raise max_connections, or end others"),
        ("25006", "it is read-only: name the primary server, or end what made it read-only"),
        (
            "42501",
            (
                "the user may not do this: give it the rights on the tables that 'keybroker db"
                " check' names; the schema is changed by its owner"
            ),
        ),
        ("42P01", "its tables are not as this version knows them: run 'keybroker db check'"),
        ("57014", "its server does not answer in time"),
        ("57P01", "its server was shut down or restarted"),
        ("58030", "its disk fails: look at the server's log"),
        ("XX001", "it is damaged: look at the server's log"),
        ("ZZ123", "it answered ZZ123"),
    ],
)
async def test_each_state_has_a_cause_that_says_what_to_do(state: str, cause: str) -> None:
    raised = f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING ERRCODE = '{state}'; END $$"
    async with a_database() as (_, database):
        failed = await ended(database.write(partial(run, statement=raised)))
        assert failed.why == f"the database does not work: {cause}"
        assert database.fault == cause
        await SqlMarkStore(database).put(MARK)
        assert database.fault == ""


async def test_a_statement_that_takes_too_long_is_ended_on_the_server_too() -> None:
    async with a_database() as (url, database):
        failed = await ended(database.read(partial(run, statement="SELECT pg_sleep(5)")))
        assert "its server does not answer in time" in failed.why
        sleeping = SQL(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(5)'"
            " AND state = 'active'"
        )
        assert await execute(sleeping, url) == [(0,)]


async def test_a_value_that_cannot_be_held_takes_no_other_change_with_it() -> None:
    async with a_database() as (_, database):
        marks = SqlMarkStore(database)
        bad, good = await asyncio.gather(
            ended(marks.put(replace(MARK, reason="a\0b"))),
            ended(marks.put(replace(MARK, subject="good"))),
        )
        assert bad.why == "the database does not take it: a value is one that it cannot hold"
        read = await ended(SqlKeyStore(database).tenant("a\0b"))
        assert read.why == bad.why
        assert (good.why, database.fault) == ("", "")


async def test_a_wrong_password_is_told_without_it() -> None:
    async with new_database() as url:
        wrong = url.replace("keybroker:", f"keybroker:{CANARY}")
        for location, password in ((wrong, None), (url, CANARY)):
            with capture_logs() as logs, pytest.raises(StoreUnavailableError) as caught:
                await Database.open(location, password=password)
            assert "user or password is refused" in str(caught.value)
            assert CANARY not in str(caught.value) + repr(logs)


async def test_a_password_beside_the_url_is_the_one_that_counts() -> None:
    async with new_database() as url:
        password = url.split(":")[2].partition("@")[0]
        database = await Database.open(url.replace(password, CANARY), password=password)
        await SqlMarkStore(database).put(MARK)
        await database.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: f"{url}_not", "there is no such database: make it, or name another"),
        (lambda url: f"{url}?colour=red", "the URL has a parameter that libpq does not know"),
        (lambda url: f"{url}?sslmode=maybe", "a parameter with a value that libpq does not take"),
        (lambda url: f"{url}?sslmode=require", "its server speaks no TLS: let it, or say sslmode"),
        (lambda url: url.replace("keybroker:", "who:"), "user or password is refused"),
        (lambda url: url.replace("127.0.0.1", "no.such.invalid"), "its host is not known"),
    ],
)
async def test_what_is_wrong_with_the_url_is_told(change: object, why: str) -> None:
    assert callable(change)
    async with new_database() as url:
        with pytest.raises(StoreUnavailableError) as caught:
            await Database.open(change(url))
        assert why in str(caught.value)


async def test_no_error_tells_what_was_to_be_written() -> None:
    sealed = SealedSecret(CANARY, CANARY.encode(), CANARY.encode())
    key = a_key("acme/1")
    canaries = replace(key, revisions=(replace(key.revisions[0], sealed=sealed),))
    async with behind_a_proxy() as (database, proxy):
        with capture_logs() as logs:
            for harm in (proxy.cut, proxy.freeze):
                harm()
                with pytest.raises(StoreUnavailableError) as caught:
                    await SqlKeyStore(database).create(canaries, POLICY)
                error: BaseException | None = caught.value
                while error is not None:
                    assert CANARY not in repr(error)
                    error = error.__cause__
                proxy.heal()
        assert CANARY not in repr(logs)


async def test_what_uses_a_server_says_who_it_is() -> None:
    async with new_database() as url, brokers(url, "replica-7") as (database,):
        names = SQL(
            "SELECT DISTINCT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await SqlMarkStore(database).marks()
        assert await execute(names, url) == [("keybroker/replica-7",)]


async def test_the_time_of_the_database_is_told() -> None:
    async with a_database() as (url, database):
        before = await execute(SQL("SELECT extract(epoch FROM clock_timestamp())::float8"), url)
        now = await database.now()
        assert 0.0 <= now - float(str(before[0][0])) < 1.0


def parameters(url: str, **environ: str) -> dict[str, str]:
    return Address(url, None).parameters("here", environ)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@localhost/d",
        "postgresql://u@127.0.0.1:1/d",
        "postgresql://u@[::1]/d",
        "postgresql:///d",
        "postgresql:///d?host=/var/run/postgresql",
    ],
)
def test_on_this_machine_tls_is_left_to_libpq(url: str) -> None:
    assert "sslmode" not in parameters(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example.com/d",
        "postgres://u@10.0.0.7/d",
        "postgresql:///d?host=db.example.com",
        "postgresql:///d?host=localhost,db.example.com",
        "postgresql://u@localhost/d?hostaddr=10.0.0.7",
    ],
)
def test_beyond_this_machine_tls_is_demanded_unless_the_url_or_libpq_says_otherwise(
    url: str,
) -> None:
    assert parameters(url)["sslmode"] == "require"
    more = f"{url}{'&' if '?' in url else '?'}sslmode=verify-full"
    assert parameters(more)["sslmode"] == "verify-full"
    assert "sslmode" not in parameters(url, PGSSLMODE="verify-ca")
    assert parameters("postgresql:///d", PGHOST="db.example.com")["sslmode"] == "require"


def test_a_database_is_named_without_user_password_and_parameters() -> None:
    address = Address(f"postgres://alice:{CANARY}@db.example.com:6432/keys?options=-c+a%3Db", None)
    assert address.name == "postgresql://db.example.com:6432/keys"
    assert parameters("postgres://alice:p%40ss@db.example.com/keys")["password"] == "p@ss"


async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(StoreUnusableError, match="the database's URL is no URL"):
        await Database.open("postgresql://u@host:port/d")
