"""Disks that are full or read-only, and files that go: refused while it lasts, and healed after."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from broker.adapters.sql import Database, SqlKeyStore, SqlMarkStore
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from tests.integration.sql.disturbing import (
    a_small_disk,
    fill,
    opened,
    refused,
    remount,
    rename,
    run,
)
from tests.integration.sql.sql_given import MARK, POLICY, a_key, rows_of


async def creates(keys: SqlKeyStore, key_id: str) -> str:
    """Why a key cannot be created, "" if it was."""
    try:
        await keys.create(a_key(key_id, tenant="bravo"), POLICY)
    except StoreUnavailableError as error:
        return str(error)
    return ""


async def test_a_full_disk_loses_nothing_and_heals(tmp_path: Path) -> None:
    with a_small_disk(tmp_path) as disk:
        async with opened(disk / "broker.db") as database:
            keys = SqlKeyStore(database)
            await keys.create(a_key("acme/1"), POLICY)
            free = os.statvfs(disk)
            filler = disk / "filler"
            fill(filler, free.f_bavail * free.f_frsize)
            written = 0
            while (fault := await creates(keys, f"bravo/{written}")) == "":
                written += 1
            assert fault == "the database does not work: the disk is full: make room"
            assert await keys.key("acme/1") == a_key("acme/1")
            filler.unlink()
            await keys.create(a_key("charlie/1", tenant="charlie"), POLICY)
        assert len(rows_of(disk / "broker.db")["keys"]) == written + 2


async def test_a_database_that_may_not_grow_refuses_and_heals(database: Database) -> None:
    """As on a full disk, also where no disk can be mounted."""
    await run(database, "PRAGMA max_page_count=1")  # it takes the present size
    long = replace(MARK, reason="x" * 200_000)
    with pytest.raises(StoreUnavailableError, match="the disk is full"):
        await SqlMarkStore(database).put(long)
    await SqlMarkStore(database).put(long)  # on a new connection, which knows no limit
    assert await SqlMarkStore(database).marks() == (long,)


async def test_a_database_that_became_read_only_is_told_and_heals(database: Database) -> None:
    await run(database, "PRAGMA query_only=ON")
    assert "it cannot be written: make file, folder and disk writable" in await refused(database)
    await SqlMarkStore(database).put(MARK)  # on a new connection, which may write


async def test_a_read_only_disk_is_no_place_for_a_database(tmp_path: Path) -> None:
    with a_small_disk(tmp_path) as disk:
        remount(disk, "ro")
        with pytest.raises(StoreUnusableError, match="read-only file system"):
            await Database.open(disk / "broker.db")


async def test_a_file_that_was_moved_away_takes_no_more_writes(
    path: Path, database: Database
) -> None:
    """They would be durable in a file that no restart finds."""
    away = path.with_name("away.db")
    rename(path, away)
    assert "its file was moved or deleted: put it back" in await refused(database)
    rename(away, path)
    await SqlMarkStore(database).put(MARK)
