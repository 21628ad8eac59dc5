"""PostgreSQL that is away, silent, slow or back: answers in time, and work goes on when it does."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from broker.adapters.sql import Database, SqlMarkStore, upgrade_database
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from simulator.postgres import Postgres
from tests.integration.sql.postgres_given import (
    BACK_S,
    PROMPTLY_S,
    back_after,
    behind_a_proxy,
    brokers,
    calls,
    ended,
    reasons,
    set_default,
    warm,
)
from tests.integration.sql.sql_given import MARK
from tests.postgres import new_database, server


async def test_a_database_that_is_gone_is_told_in_time_and_work_goes_on_when_it_is_back() -> None:
    async with behind_a_proxy() as (database, proxy):
        proxy.cut()
        for _ in range(3):
            assert "the connection to it broke" in reasons(await calls(database))
        assert database.fault != ""
        proxy.heal()
        assert await back_after(database) < BACK_S
        assert database.fault == ""


async def test_a_database_that_falls_silent_is_left_in_time() -> None:
    """Connections stay, and nothing comes: neither TCP nor the server's own time-outs help."""
    async with behind_a_proxy() as (database, proxy):
        proxy.freeze()
        for _ in range(3):
            assert "did not answer within 0.9 s" in reasons(await calls(database, 20))
        proxy.heal()
        assert await back_after(database) < BACK_S


async def test_a_database_that_is_slow_by_5_s_is_left_in_time() -> None:
    async with behind_a_proxy() as (database, proxy):
        proxy.delay_s = 5.0
        assert "did not answer within 0.9 s" in reasons(await calls(database))
        proxy.heal()
        assert await back_after(database) < BACK_S


@pytest.mark.parametrize("is_write", [False, True])
async def test_what_fell_silent_is_told_of_while_nobody_asks(*, is_write: bool) -> None:
    async with behind_a_proxy() as (database, proxy):
        proxy.freeze()
        store = SqlMarkStore(database)
        await ended(store.put(MARK) if is_write else store.marks())
        for _ in range(50):
            if database.fault:
                break
            await asyncio.sleep(0.02)
        assert database.fault == "its server does not answer in time"


async def test_a_restart_costs_no_call() -> None:
    """Each connection of the pool is found dead, and made anew."""
    async with new_database() as url, brokers(url, "here") as (database,):
        await warm(database)
        await asyncio.to_thread(server().restart)
        assert [call.why for call in await calls(database)] == [""] * 20


async def test_connections_that_were_ended_cost_no_call() -> None:
    async with behind_a_proxy() as (database, proxy):
        proxy.reset()
        assert [call.why for call in await calls(database)] == [""] * 20


async def test_a_crash_is_told_of_and_what_was_committed_is_there_after_it() -> None:
    async with new_database() as url, brokers(url, "here") as (database,):
        await warm(database)
        await asyncio.to_thread(server().kill)
        assert "nothing answers there: look at its server" in reasons(await calls(database))
        await asyncio.to_thread(server().start)
        assert await back_after(database) < BACK_S


async def test_a_frozen_server_is_left_in_time() -> None:
    async with new_database() as url, brokers(url, "here") as (database,):
        await warm(database)
        server().freeze()
        try:
            assert "did not answer within 0.9 s" in reasons(await calls(database))
        finally:
            server().thaw()
        assert await back_after(database) < BACK_S


async def test_an_episode_is_logged_once_and_its_end() -> None:
    async with behind_a_proxy() as (database, proxy):
        with capture_logs() as logs:
            proxy.cut()
            for _ in range(5):
                await ended(SqlMarkStore(database).marks())
            proxy.heal()
            await SqlMarkStore(database).marks()
            await SqlMarkStore(database).marks()
        assert [line["event"] for line in logs] == ["database_unavailable", "database_back"]


async def test_a_server_without_free_connections_is_told_of_and_heals() -> None:
    with Postgres(max_connections="8", superuser_reserved_connections="0") as small:
        await asyncio.to_thread(upgrade_database, small.url())
        async with brokers(small.url(), "here") as (database,):
            others = take_all(small)  # but for the one that the broker holds
            failed = [call for call in await calls(database) if call.why]
            assert "its server takes no more connections: raise max_conn" in reasons(failed)
            for connection in others:
                connection.close()
            assert await back_after(database) < BACK_S


def take_all(server: Postgres) -> list[psycopg.Connection]:
    """Every connection that a server still has."""
    taken: list[psycopg.Connection] = []
    with suppress(psycopg.OperationalError):
        while True:
            taken.append(psycopg.connect(server.url()))
    return taken


async def test_a_read_only_database_still_reads_and_says_what_it_is() -> None:
    async with new_database() as url, brokers(url, "here") as (database,):
        await warm(database)
        await set_default(url, "default_transaction_read_only", "on")
        store = SqlMarkStore(database)
        assert await store.marks() == (MARK,)
        failed = await ended(store.put(replace(MARK, subject="other")))
        assert "it is read-only: name the primary server" in failed.why
        assert failed.after_s < PROMPTLY_S
        await set_default(url, "default_transaction_read_only", "off")
        await store.put(replace(MARK, subject="other"))
        assert database.fault == ""


async def test_what_is_lost_at_its_commit_is_not_done_again() -> None:
    """Nobody knows whether it was kept: its caller must look."""
    async with behind_a_proxy() as (database, proxy):
        proxy.lose(b"COMMIT")
        store = SqlMarkStore(database)
        lost = await ended(store.put(replace(MARK, subject="lost")))
        assert "the connection to it broke while it committed" in lost.why
        proxy.heal()
        assert {mark.subject for mark in await store.marks()} == {MARK.subject, "lost"}


async def test_a_database_that_is_away_when_it_is_opened_is_told_of(tmp_path: Path) -> None:
    async with behind_a_proxy() as (_, proxy):
        proxy.freeze()
        url = proxy.url("postgresql://keybroker@127.0.0.1/somewhere")
        with pytest.raises(StoreUnavailableError, match="its server does not answer in time"):
            await Database.open(url)
    with pytest.raises(StoreUnavailableError, match="nothing answers there"):
        await Database.open("postgresql://keybroker@127.0.0.1:1/somewhere")
    with pytest.raises(StoreUnavailableError, match="nothing answers there"):
        await Database.open(f"postgresql:///somewhere?host={tmp_path}")
    with pytest.raises(StoreUnusableError, match="is no URL"):
        await Database.open("postgresql://keybroker@[::1/somewhere")
