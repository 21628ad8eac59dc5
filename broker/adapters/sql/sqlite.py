"""All that is SQLite's own: how to connect, how to begin, how to check, what its errors mean."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import QueuePool

from broker.ports.errors import StoreUnusableError

BUSY_S = 2.0
"""How long a statement waits for another process's lock."""

DAMAGED = "it is damaged: stop the broker and restore the file from a backup"

DRIVER_ERROR = sqlite3.Error

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
