"""One database: opened once, read and written by its own threads, closed once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine

from broker.adapters.sql import sqlite
from broker.adapters.sql.faults import Episode
from broker.adapters.sql.job import AnyJob, Job
from broker.adapters.sql.place import Place
from broker.adapters.sql.reader import Readers
from broker.adapters.sql.writer import Writer
from broker.ports.errors import StoreUnavailableError

T = TypeVar("T")

DEADLINE_S = 0.9
"""How long a caller waits for one read or write, with all that is before it and its commit."""

COMMIT_SHARE = 1 / 3
"""The end of a write's deadline that is for a commit under way: nothing is begun in it."""

CLOSE_S = 5.0

READERS = 4


class Database:
    """What the stores share; reads see one moment, writes are durable when they return."""

    def __init__(self, place: Place, engine: Engine, deadline_s: float) -> None:
        self._place = place
        self._engine = engine
        self._deadline_s = deadline_s
        self._reading = Episode(place.name, "reading", place.cause)
        self._writing = Episode(place.name, "writing", place.cause)
        self._readers = Readers(place, engine, self._reading, READERS)
        self._writers = [Writer(place, engine, self._writing, place.max_batch)]
        if place.is_shared:  # long writes hold up no others where there may be two
            self._writers.append(Writer(place, engine, self._writing, 1))
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        location: Path | str,
        replica: str = "",
        *,
        password: str | None = None,
        deadline_s: float = DEADLINE_S,
        busy_s: float = sqlite.BUSY_S,
    ) -> Self:
        """Open SQLite's file, or the PostgreSQL database of a URL.

        A file is made where there is none, and brought to this version's schema; a database that
        brokers share is not. `replica` is told to whoever looks at who uses it. Raises
        StoreUnusableError and StoreUnavailableError.
        """
        place = place_of(location, password=password, busy_s=busy_s)
        engine = await asyncio.to_thread(place.open, replica, READERS + 2)
        database = cls(place, engine, deadline_s)
        if work := place.work_after_opening():
            database._readers.put(Job(work, deadline_s))
        return database

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._place.kind

    @property
    def is_shared(self) -> bool:
        """May other brokers change what is in it?"""
        return self._place.is_shared

    @property
    def name(self) -> str:
        """Where it is, for logs and errors."""
        return self._place.name

    @property
    def path(self) -> Path | None:
        """The file that it is in, where it is in one."""
        return self._place.path

    @property
    def fault(self) -> str:
        """What is wrong with the database as the last calls found it, "" while it works."""
        return self._writing.fault or self._reading.fault

    def hurry(self) -> None:
        """From now on callers wait no longer than DEADLINE_S: there are some."""
        self._deadline_s = DEADLINE_S

    async def read(self, work: Callable[[Connection], T], *, within_s: float | None = None) -> T:
        """Do `work` on a connection in one transaction that only reads.

        It may be done twice. Raises StoreUnavailableError, and what the work raises.
        """
        return await self._done(Job(work, within_s or self._deadline_s), self._readers.put)

    async def write(self, work: Callable[[Connection], T], *, within_s: float | None = None) -> T:
        """Do `work` on a connection, all of it or none; it is durable on return.

        It may be done twice, the first time for nothing. With `within_s` it is a transaction of its
        own, which may take so long. Raises StoreUnavailableError, and what the work raises.
        """
        total_s = within_s or self._deadline_s
        commit_s = min(total_s, self._deadline_s) * COMMIT_SHARE
        writer = self._writers[0 if within_s is None else -1]
        return await self._done(Job(work, total_s, commit_s), writer.put)

    async def now(self) -> float:
        """The database's time in epoch seconds. Raises StoreUnavailableError."""
        return await self.read(self._place.now)

    async def close(self) -> None:
        """Finish what was begun, and let go of it."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._close)

    async def _done(self, job: Job[T], put: Callable[[AnyJob], None]) -> T:
        if self._is_closed:
            raise StoreUnavailableError("the database is closed")
        put(job)
        return await job.wait()

    def _close(self) -> None:
        self._readers.close(CLOSE_S)
        have_ended = [writer.close(CLOSE_S) for writer in self._writers]
        if all(have_ended):  # else a file stays ours until the process ends
            self._place.close()
        self._engine.dispose()


def place_of(
    location: Path | str, *, password: str | None = None, busy_s: float = sqlite.BUSY_S
) -> Place:
    """The place that a path or a URL names; raises StoreUnusableError for a URL that is none."""
    if isinstance(location, Path):
        return sqlite.SqlitePlace(location, busy_s)
    from broker.adapters.sql.postgres import PostgresPlace  # noqa: PLC0415 - slow to import

    return PostgresPlace(location, password)
