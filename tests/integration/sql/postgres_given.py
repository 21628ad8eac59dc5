"""Brokers on a real PostgreSQL, by way of a proxy that can do harm, and how long calls take."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from psycopg.sql import SQL, Identifier

from broker.adapters.sql import Database, SqlMarkStore
from broker.ports.errors import StoreUnavailableError
from tests.integration.sql.sql_given import MARK
from tests.postgres import execute, new_database
from tests.proxy import Proxy, proxy_of

PROMPTLY_S = 1.0
"""How long a caller of the database waits at most, whatever happens to it."""

BACK_S = 2.0
"""How soon all is well again once the database is."""


@asynccontextmanager
async def brokers(url: str, *replicas: str) -> AsyncIterator[list[Database]]:
    """Databases of this many brokers."""
    opened = [await Database.open(url, replica) for replica in replicas]
    try:
        yield opened
    finally:
        await asyncio.gather(*(database.close() for database in opened))


@asynccontextmanager
async def behind_a_proxy() -> AsyncIterator[tuple[Database, Proxy]]:
    """A broker's database that has worked, and the way to it."""
    async with (
        new_database() as url,
        proxy_of(url) as proxy,
        brokers(proxy.url(url), "here") as (database,),
    ):
        await warm(database)
        try:
            yield database, proxy
        finally:
            proxy.heal()


async def warm(database: Database) -> None:
    """Have every connection be made: as many reads at once as there are, and a write."""
    store = SqlMarkStore(database)
    await store.put(MARK)
    await asyncio.gather(*(store.marks() for _ in range(20)))


@dataclass(frozen=True)
class Ended:
    """How a call ended: why it failed, "" where it did not, and when."""

    why: str
    after_s: float


async def ended(call: Awaitable[object]) -> Ended:
    began = time.monotonic()
    try:
        await call
    except StoreUnavailableError as error:
        return Ended(str(error), time.monotonic() - began)
    return Ended("", time.monotonic() - began)


async def calls(database: Database, number: int = 10) -> list[Ended]:
    """As many reads and writes, all at once."""
    store = SqlMarkStore(database)
    reads = [ended(store.marks()) for _ in range(number)]
    writes = [ended(store.put(replace(MARK, subject=f"s{n}"))) for n in range(number)]
    return await asyncio.gather(*reads, *writes)


def reasons(failed: list[Ended]) -> str:
    """Why calls failed, if they all failed for the same reason and in time."""
    assert max(call.after_s for call in failed) < PROMPTLY_S
    (why,) = {call.why for call in failed}
    return why


async def back_after(database: Database) -> float:
    """How long it takes until reads and writes work again."""
    began = time.monotonic()
    while any(call.why for call in await calls(database, 1)):
        assert time.monotonic() - began < 10.0
    return time.monotonic() - began


async def set_default(url: str, setting: str, value: str) -> None:
    """Change a setting of a database, and have every connection notice."""
    name = url.rpartition("/")[2]
    change = SQL("ALTER DATABASE {} SET {} = {}").format(
        Identifier(name), Identifier(setting), Identifier(value)
    )
    await execute(change)
    await execute(
        SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
            name
        )
    )
