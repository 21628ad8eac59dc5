"""What brokers share on one database, used by two of them as if they were one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

from broker.adapters.sql import SqlMarkStore, SqlSharedFactLog
from broker.adapters.sql.change_feed import SqlChangeFeed
from broker.core.facts import Fact
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.changes import ChangeFeed
from broker.ports.clock import Clock
from broker.ports.fact_log import Deliver, Lost, no_matter
from broker.ports.mark_store import Mark, MarkKind
from tests.contract.sql_rigs import opened
from tests.fakes import START
from tests.postgres import new_database


class LogOfTwo:
    """Two brokers' logs on one database: they append in turns, and one follows."""

    def __init__(self, *logs: SqlSharedFactLog) -> None:
        self._following = logs[0]
        self._turns = cycle(logs)

    async def append(self, fact: Fact, age_s: float) -> Logged:
        return await next(self._turns).append(fact, age_s)

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        return await self._following.follow(provider, after, deliver, lost)

    async def snapshot(self, provider: str) -> Snapshot | None:
        return await next(self._turns).snapshot(provider)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await next(self._turns).save_snapshot(snapshot)


@asynccontextmanager
async def log_of_two(clock: Clock) -> AsyncIterator[LogOfTwo]:
    """Two brokers on a new database, of which the one that follows hears of the other."""
    async with new_database() as url, AsyncExitStack() as stack:
        logs = []
        for _ in range(2):
            database = await stack.enter_async_context(opened(url))
            logs.append(await SqlSharedFactLog.open(database, clock))
        feed = SqlChangeFeed(url, logs[0])
        await feed.follow(lambda _: None)
        stack.push_async_callback(feed.close)
        yield LogOfTwo(*logs)


@dataclass(frozen=True, slots=True)
class FeedRig:
    """A feed, and what another broker does to a mark."""

    feed: ChangeFeed
    change: Callable[[], Awaitable[None]]


@asynccontextmanager
async def postgresql_feed() -> AsyncIterator[FeedRig]:
    """The feed of one of two brokers on a new database."""
    async with new_database() as url, opened(url) as database:
        mark = Mark(MarkKind.KEY_DISABLED, "openai/1", START, "alice")

        async def change() -> None:
            await SqlMarkStore(database).put(mark)

        feed = SqlChangeFeed(url)
        yield FeedRig(feed, change)
        await feed.close()
