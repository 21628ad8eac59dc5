"""One database: opened once, read and written by its own threads, closed once."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from broker.adapters.sql import sqlite
from broker.adapters.sql.faults import MOVED, Episode
from broker.adapters.sql.file import DatabaseFile
from broker.adapters.sql.job import AnyJob, Job
from broker.adapters.sql.migrating import migrate, recognise
from broker.adapters.sql.reader import Readers
from broker.adapters.sql.schema import FACTS, LAST_GOOD, MARKS, REVISION, SNAPSHOTS
from broker.adapters.sql.writer import Writer
from broker.ports.errors import StoreUnavailableError, StoreUnusableError

T = TypeVar("T")

DEADLINE_S = 5.0
"""How long a caller waits for one read or write, with all that is before it."""

READERS = 4

CHECKED_BYTES = 16 * 1024 * 1024
"""A file up to this size is checked whole before it is used; from a larger one, which takes
seconds where nothing is cached, only what every decision hangs on. The rest is checked beside."""

_CHECKED_FIRST = (MARKS, LAST_GOOD, SNAPSHOTS, FACTS)

log = structlog.get_logger("keybroker")


class Database:
    """What the stores share; reads see one moment, writes are durable when they return."""

    def __init__(self, file: DatabaseFile, engine: Engine, deadline_s: float) -> None:
        self.path = file.path
        self._file = file
        self._engine = engine
        self._anchor = sqlite.hold(engine)
        self._deadline_s = deadline_s
        self._reading = Episode(file.path, "reading", self._cause)
        self._writing = Episode(file.path, "writing", self._cause)
        self._readers = Readers(engine, self._reading, READERS)
        self._writer = Writer(engine, self._writing, file.is_in_place)
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        replica: str = "",
        *,
        deadline_s: float = DEADLINE_S,
        busy_s: float = sqlite.BUSY_S,
    ) -> Self:
        """Open the file, make it where there is none, and bring it to this version's schema.

        `replica` is told to another broker that wants the file. Raises StoreUnusableError.
        """
        file = DatabaseFile(path)
        engine = await asyncio.to_thread(_open, file, replica, busy_s)
        database = cls(file, engine, deadline_s)
        if file.size() > CHECKED_BYTES:
            database._readers.put(Job(database._check_the_rest))
        return database

    @property
    def fault(self) -> str:
        """What is wrong with the database as the last calls found it, "" while it works."""
        return self._writing.fault or self._reading.fault

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work` on a connection in one transaction that only reads.

        Raises StoreUnavailableError, and what the work raises.
        """
        return await self._done(Job(work), self._readers.put)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` on a connection, all of it or none; it is durable on return.

        It may be done twice, the first time for nothing. Raises StoreUnavailableError, and what
        the work raises.
        """
        return await self._done(Job(work), self._writer.put)

    async def close(self) -> None:
        """Finish what was begun, leave one file, and let another process have it."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._close)

    async def _done(self, job: Job[T], put: Callable[[AnyJob], None]) -> T:
        if self._is_closed:
            raise StoreUnavailableError("the database is closed")
        put(job)
        return await job.wait(self._deadline_s)

    def _check_the_rest(self, connection: Connection) -> None:
        try:
            sqlite.check(connection)
        except (StoreUnusableError, sqlite.DRIVER_ERROR) as error:
            detail = error.args[0] if isinstance(error, StoreUnusableError) else sqlite.cause(error)
        else:
            return
        log.error("database_damaged", database=str(self.path), detail=detail)

    def _cause(self, error: BaseException | None) -> str:
        """Why it does not work; a file that is gone is the reason for whatever else is said."""
        return sqlite.cause(error) if self._file.is_in_place() else MOVED

    def _close(self) -> None:
        self._readers.close(self._deadline_s)
        has_ended = self._writer.close(self._deadline_s)
        self._anchor.close()
        self._engine.dispose()
        if has_ended:  # else the file stays ours until the process ends
            self._file.give_back()


def _open(file: DatabaseFile, replica: str, busy_s: float) -> Engine:
    file.take(f"process {os.getpid()}" + (f", replica {replica}" if replica else ""))
    engine = sqlite.make_engine(file.path, connections=READERS + 2, busy_s=busy_s)
    try:
        _prepare(file, engine)
    except BaseException:
        engine.dispose()
        file.give_back()
        raise
    return engine


def _prepare(file: DatabaseFile, engine: Engine) -> None:
    """Check what is there, and migrate it; whatever is wrong is left as it is."""
    try:
        with engine.connect() as connection:
            with connection.begin():
                before = recognise(connection)
            if before == REVISION and file.size() > CHECKED_BYTES:
                for table in _CHECKED_FIRST:
                    sqlite.check(connection, table.name)
            else:
                sqlite.check(connection)
            sqlite.use_wal(connection)
        if before != REVISION:
            with engine.execution_options(writes=True).begin() as connection:
                migrate(connection)
    except SQLAlchemyError as error:
        raise _unusable(file, sqlite.cause(getattr(error, "orig", error))) from None
    except sqlite.DRIVER_ERROR as error:
        raise _unusable(file, sqlite.cause(error)) from None
    except StoreUnusableError as error:
        raise _unusable(file, str(error)) from None
    log.info("database_open", path=str(file.path), schema=REVISION, schema_before=before or "none")


def _unusable(file: DatabaseFile, why: str) -> StoreUnusableError:
    return StoreUnusableError(f"the database {file.path} cannot be used: {why}")
