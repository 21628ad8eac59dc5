"""Stores on a database of their own, which goes with them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from broker.adapters.sql import Database
from tests.postgres import new_database

StoreT = TypeVar("StoreT")

DEADLINE_S = 10.0
"""More than a store has: here it is about what it does, not about how soon on a busy machine."""


@asynccontextmanager
async def database() -> AsyncIterator[Database]:
    """A new SQLite file."""
    with TemporaryDirectory() as folder:
        async with opened(Path(folder, "broker.db")) as database:
            yield database


@asynccontextmanager
async def postgresql() -> AsyncIterator[Database]:
    """A new database of a PostgreSQL server."""
    async with new_database() as url, opened(url) as database:
        yield database


@asynccontextmanager
async def opened(location: Path | str) -> AsyncIterator[Database]:
    """A database that is there, or a new file."""
    database = await Database.open(location, deadline_s=DEADLINE_S)
    try:
        yield database
    finally:
        await database.close()


def on_database(
    make: Callable[[Database], StoreT],
) -> Callable[[], AbstractAsyncContextManager[StoreT]]:
    """A store on a new SQLite file."""
    return _on(database, make)


def on_postgresql(
    make: Callable[[Database], StoreT],
) -> Callable[[], AbstractAsyncContextManager[StoreT]]:
    """A store on a new PostgreSQL database."""
    return _on(postgresql, make)


def _on(
    where: Callable[[], AbstractAsyncContextManager[Database]], make: Callable[[Database], StoreT]
) -> Callable[[], AbstractAsyncContextManager[StoreT]]:
    @asynccontextmanager
    async def rig() -> AsyncIterator[StoreT]:
        async with where() as its_own:
            yield make(its_own)

    return rig
