"""All that is SQLite's own: how to open, how to begin, how to check, what its errors mean."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from broker.adapters.sql.faults import MOVED
from broker.adapters.sql.file import DatabaseFile
from broker.adapters.sql.migrating import recognise, upgrade
from broker.adapters.sql.place import Work
from broker.adapters.sql.schema import FACTS, LAST_GOOD, MARKS, REVISION, SNAPSHOTS
from broker.ports.errors import StoreUnusableError

BUSY_S = 0.25
"""How long a statement waits for another process's lock."""

CHECKED_BYTES = 16 * 1024 * 1024
"""A file up to this size is checked whole before it is used; from a larger one, which takes
seconds where nothing is cached, only what every decision hangs on. The rest is checked beside."""

_CHECKED_FIRST = (MARKS, LAST_GOOD, SNAPSHOTS, FACTS)

DAMAGED = "it is damaged: stop the broker and restore the file from a backup"

MAX_BATCH = 256

_MAX_WAL_BYTES = 64 * 1024 * 1024

_CAUSES = {
    "SQLITE_BUSY": "another process holds a lock on it",
    "SQLITE_LOCKED": "another connection holds a lock on it",
    "SQLITE_PROTOCOL": "another process holds a lock on it",
    "SQLITE_READONLY": "it cannot be written: make file, folder and disk writable",
    "SQLITE_PERM": "access is denied: look at the owner and mode of the file",
    "SQLITE_AUTH": "access is denied: look at the owner and mode of the file",
    "SQLITE_FULL": "the disk is full: make room",
    "SQLITE_CORRUPT": DAMAGED,
    "SQLITE_NOTADB": "it is no database: stop the broker and restore the file from a backup",
    "SQLITE_IOERR": "the disk fails: look at the system's log",
    "SQLITE_CANTOPEN": "it cannot be opened: look at the file, its folder and their modes",
    "SQLITE_NOMEM": "memory ran out",
    "SQLITE_TOOBIG": "a record is too large",
}

log = structlog.get_logger("keybroker")


class SqlitePlace:
    """A file, which one broker has to itself."""

    kind = "sqlite"
    is_shared = False
    max_batch = MAX_BATCH

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        self._file = DatabaseFile(path)
        self._busy_s = busy_s
        self._anchor: Connection | None = None
        self.path = self._file.path
        self.name = str(self.path)

    def open(self, replica: str, connections: int) -> Engine:
        """Take the file, make it where there is none, check it, and migrate it."""
        engine = self.connect(replica, connections + 1)
        try:
            self._prepare(engine)
            self._anchor = hold(engine)
        except BaseException:
            engine.dispose()
            self._file.give_back()
            raise
        return engine

    def connect(self, replica: str, connections: int) -> Engine:
        """Take the file, and make it where there is none."""
        self._file.take(f"process {os.getpid()}" + (f", replica {replica}" if replica else ""))
        return make_engine(self.path, connections=connections, busy_s=self._busy_s)

    def work_after_opening(self) -> Work | None:
        """Check what was not checked before."""
        return self._check_the_rest if self._file.size() > CHECKED_BYTES else None

    def limit(self, connection: Connection, ends: float) -> None:
        """Nothing is left before its end: it waits for no network, and for locks only so long."""

    def is_in_place(self) -> bool:
        """Is the file still where it was opened?"""
        return self._file.is_in_place()

    def is_lost(self, error: Exception) -> bool:
        """No connection is lost where none goes over a network."""
        return False

    def is_conflict(self, error: Exception) -> bool:
        """Whoever writes has the file to itself."""
        return False

    def cause(self, error: BaseException | None) -> str:
        """Why it does not work; a file that is gone is the reason for whatever else is said."""
        return cause(error) if self._file.is_in_place() else MOVED

    def now(self, connection: Connection) -> float:
        """The time of this machine, as it is the only one."""
        return time.time()

    def close(self) -> None:
        """Leave one file, and let another process have it."""
        if self._anchor is not None:
            self._anchor.close()
            self._anchor.engine.dispose()
        self._file.give_back()

    def _prepare(self, engine: Engine) -> None:
        """Check what is there, and migrate it; whatever is wrong is left as it is."""
        try:
            with engine.connect() as connection:
                with connection.begin():
                    before = recognise(connection)
                if before == REVISION and self._file.size() > CHECKED_BYTES:
                    for table in _CHECKED_FIRST:
                        check(connection, table.name)
                else:
                    check(connection)
                use_wal(connection)
            if before != REVISION:
                with engine.execution_options(writes=True).begin() as connection:
                    upgrade(connection)
        except SQLAlchemyError as error:
            raise self._unusable(cause(getattr(error, "orig", error))) from None
        except sqlite3.Error as error:
            raise self._unusable(cause(error)) from None
        except StoreUnusableError as error:
            raise self._unusable(str(error)) from None
        log.info("database_open", database=self.name, schema=REVISION, schema_before=before or "-")

    def _check_the_rest(self, connection: Connection) -> None:
        try:
            check(connection)
        except (StoreUnusableError, sqlite3.Error) as error:
            detail = error.args[0] if isinstance(error, StoreUnusableError) else cause(error)
        else:
            return
        log.error("database_damaged", database=self.name, detail=detail)

    def _unusable(self, why: str) -> StoreUnusableError:
        return StoreUnusableError(f"the database {self.path} cannot be used: {why}")


def make_engine(path: Path, *, connections: int, busy_s: float = BUSY_S) -> Engine:
    """An engine on a file that exists; statements are not echoed and errors hold no parameters."""
    engine = create_engine(
        make_url("sqlite+pysqlite://").set(
            database=f"{path.absolute().as_uri()}", query={"uri": "true", "mode": "rw"}
        ),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": busy_s, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(dbapi: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's own signature
    dbapi.isolation_level = None  # else the driver begins and commits on its own, around DDL too
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=FAST",
        f"journal_size_limit={_MAX_WAL_BYTES}",
    ):
        dbapi.execute(f"PRAGMA {pragma}").close()


def use_wal(connection: Connection) -> None:
    """Have readers and the writer not wait for each other; the file remembers it."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA journal_mode=WAL").close()


def hold(engine: Engine) -> Connection:
    """A connection that stays, so that others can come where no disk takes a new index of the WAL.

    Only the last one that goes takes that away.
    """
    connection = engine.connect()
    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    connection.rollback()
    return connection


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def check(connection: Connection, table: str = "") -> None:
    """Look for damage in the whole file, or in one table. Raises StoreUnusableError."""
    driver: Any = connection.connection.driver_connection
    found = driver.execute(f"PRAGMA quick_check('{table}')" if table else "PRAGMA quick_check(1)")
    if [line for (line,) in found] != ["ok"]:
        raise StoreUnusableError(DAMAGED)


def cause(error: BaseException | None) -> str:
    """What an error of the driver means to a person; never its text, which may quote values."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    for prefix, meaning in _CAUSES.items():
        if name.startswith(prefix):
            return meaning
    return f"it answered {name}"
