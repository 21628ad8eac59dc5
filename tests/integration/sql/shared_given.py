"""Several brokers on one PostgreSQL: each with its log, its feed, and what they told it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import pytest
from psycopg.sql import SQL

from broker.adapters.sql import Database, SqlSharedFactLog, fact_rows
from broker.adapters.sql.change_feed import SqlChangeFeed
from broker.adapters.system import SystemClock
from broker.core.replica import Logged
from broker.ports.changes import Changed
from broker.ports.errors import StoreUnavailableError
from tests.integration.sql.sql_given import a_fact
from tests.postgres import execute, new_database

PROVIDER = "openai"

PATIENT_S = 10.0
"""More than a broker waits for its database, where it is not about time."""


@dataclass
class Broker:
    """One broker's share, and what reached it when (monotonic seconds)."""

    url: str
    database: Database
    log: SqlSharedFactLog
    feed: SqlChangeFeed
    got: list[Logged] = field(default_factory=list)
    got_at: dict[str, float] = field(default_factory=dict)
    told: list[Changed] = field(default_factory=list)
    losses: int = 0

    @property
    def ids(self) -> list[str]:
        return [entry.fact.fact_id for entry in self.got]

    async def follow(self, after: int = 0, provider: str = PROVIDER) -> None:
        await self.log.follow(provider, after, self._take, self._lose)

    async def append(self, *fact_ids: str, provider: str = PROVIDER) -> list[Logged]:
        return [await self.log.append(a_fact(fact_id, provider), 0.0) for fact_id in fact_ids]

    async def insist(self, fact_id: str, provider: str = PROVIDER) -> Logged:
        """Append, as often as it takes."""
        while True:
            try:
                return await self.log.append(a_fact(fact_id, provider), 0.0)
            except StoreUnavailableError:
                await asyncio.sleep(0.05)

    def _take(self, entry: Logged) -> None:
        self.got.append(entry)
        self.got_at[entry.fact.fact_id] = time.monotonic()

    def _lose(self) -> None:
        self.losses += 1


@asynccontextmanager
async def a_broker(
    url: str, name: str = "broker", deadline_s: float = PATIENT_S
) -> AsyncIterator[Broker]:
    """A broker on a database, which follows one provider's log and the changes."""
    async with AsyncExitStack() as stack:
        database = await Database.open(url, name, deadline_s=deadline_s)
        stack.push_async_callback(database.close)
        log = await SqlSharedFactLog.open(database, SystemClock())
        broker = Broker(url, database, log, SqlChangeFeed(url, log, replica=name))
        await broker.feed.follow(broker.told.append)
        stack.push_async_callback(broker.feed.close)
        await broker.follow()
        yield broker


@asynccontextmanager
async def brokers(number: int, deadline_s: float = PATIENT_S) -> AsyncIterator[Sequence[Broker]]:
    """So many brokers on a new database."""
    async with new_database() as url, AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(a_broker(url, f"b{n}", deadline_s))
            for n in range(number)
        ]


async def reached(brokers: Sequence[Broker], entries: int, within_s: float = 5.0) -> None:
    """Wait until so many entries reached every broker."""
    async with asyncio.timeout(within_s):
        while any(len(broker.got) < entries for broker in brokers):  # noqa: ASYNC110 - of threads
            await asyncio.sleep(0.005)


def check_one_order(brokers: Sequence[Broker]) -> None:
    """All brokers got the same entries in one order, without a hole or a fact twice."""
    first = brokers[0].got
    assert [entry.position for entry in first] == list(range(1, len(first) + 1))
    assert len({entry.fact.fact_id for entry in first}) == len(first)
    times = [entry.at for entry in first]
    assert times == sorted(times)
    for broker in brokers:
        assert broker.got == first
        assert broker.losses == 0


async def kill_connections(url: str) -> None:
    """End every connection to a database, as its server's restart does."""
    name = url.rpartition("/")[2]
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
    await execute(SQL(ends).format(name))


async def run(url: str, statement: str) -> None:
    """Have a statement done behind the brokers' backs."""
    await execute(SQL(statement), url)


@contextmanager
def nothing_remembered() -> Iterator[None]:
    """As if FACT_MEMORY_S had passed over all that is logged: a snapshot trims what it may."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fact_rows, "FACT_MEMORY_S", 0.0)
        yield
