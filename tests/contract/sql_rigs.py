"""Stores on a database of their own, in a folder that goes with it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from broker.adapters.sql import Database

StoreT = TypeVar("StoreT")


@asynccontextmanager
async def database() -> AsyncIterator[Database]:
    """A new database."""
    with TemporaryDirectory() as folder:
        database = await Database.open(Path(folder, "broker.db"))
        try:
            yield database
        finally:
            await database.close()


def on_database(
    make: Callable[[Database], StoreT],
) -> Callable[[], AbstractAsyncContextManager[StoreT]]:
    """A store on a new database."""

    @asynccontextmanager
    async def rig() -> AsyncIterator[StoreT]:
        async with database() as its_own:
            yield make(its_own)

    return rig
