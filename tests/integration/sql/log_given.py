"""Lives of a log: one process after another over one file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, text

from broker.adapters.sql import Database, SqlFactLog
from broker.core.replica import Logged, ReplicaHealth
from broker.core.snapshot import Snapshot, take_snapshot
from tests.fakes import FakeClock
from tests.integration.sql.sql_given import a_fact


@asynccontextmanager
async def a_life(path: Path, clock: FakeClock) -> AsyncIterator[SqlFactLog]:
    """One process with the log."""
    database = await Database.open(path)
    yield await SqlFactLog.open(database, clock)
    await database.close()


async def append(log: SqlFactLog, *fact_ids: str, provider: str = "openai") -> list[Logged]:
    return [await log.append(a_fact(fact_id, provider), 0.0) for fact_id in fact_ids]


async def entries(log: SqlFactLog, after: int = 0, provider: str = "openai") -> list[Logged]:
    """What the log delivers to somebody who begins there."""
    got: list[Logged] = []
    stop = await log.follow(provider, after, got.append)
    stop()
    return got


async def following(log: SqlFactLog) -> list[Logged]:
    """All that the log delivers, from its beginning and from now on."""
    got: list[Logged] = []
    await log.follow("openai", 0, got.append)
    return got


async def save(log: SqlFactLog, clock: FakeClock, position: int) -> Snapshot:
    """A snapshot of what the log holds up to a position."""
    replica = ReplicaHealth()
    earlier = await log.snapshot("openai")
    for entry in await entries(log, earlier.position if earlier else 0):
        if entry.position <= position:
            replica.confirm(entry)
    snapshot = replace(take_snapshot("openai", replica, clock.now()), position=position)
    await log.save_snapshot(snapshot)
    return snapshot


async def change(path: Path, statement: str) -> None:
    """Change a closed database behind the broker's back."""
    database = await Database.open(path)

    def work(connection: Connection) -> None:
        connection.execute(text(statement))

    await database.write(work)
    await database.close()
