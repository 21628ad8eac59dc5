"""All that is PostgreSQL's own: how to connect, how to begin, what its errors mean."""

import random
import time
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from broker.adapters.sql import postgres_causes
from broker.adapters.sql.migrating import recognise
from broker.adapters.sql.place import Work
from broker.adapters.sql.postgres_connection import Address, LimitedConnection
from broker.adapters.sql.schema import REVISION
from broker.ports.errors import StoreUnavailableError, StoreUnusableError

OLDEST: Final = 13
"""The oldest version of the server that knows all that is asked of it."""

MAX_BATCH: Final = 32
"""Less than of a file: each statement goes over a network."""

OPEN_S: Final = 10.0

SERVER_SHARE: Final = 0.95
"""The part of a deadline after which the server ends a statement: before the connection is left."""

LOCK_S: Final = 0.3
"""How long a statement waits for another's lock at most, or a fifth of the time that is left; by
chance it is a little less, so that one of two that wait for each other gives way first."""

_LOCK_JITTER: Final = (0.6, 1.0)

LEFT_ALONE_S: Final = 2.0
"""How long the server waits for a broker in the middle of a transaction, which holds locks: it may
have been stopped, or cut off. With more time than a call has, a tenth of it."""

_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03"})

log = structlog.get_logger("keybroker")


class PostgresPlace:
    """A database of a server, which brokers share."""

    kind = "postgresql"
    is_shared = True
    path: Path | None = None
    max_batch = MAX_BATCH

    def __init__(self, url: str, password: str | None = None) -> None:
        self._address = Address(url, password)
        self.name = self._address.name

    def open(self, replica: str, connections: int) -> Engine:
        """Look whether it is as this version knows it; it is never migrated by a broker."""
        engine = self.connect(replica, connections)
        try:
            with self.told(), engine.connect() as connection:
                self.limit(connection, time.monotonic() + OPEN_S)
                with connection.begin():
                    self.check(connection)
        except BaseException:
            engine.dispose()
            raise
        log.info("database_open", database=self.name, schema=REVISION)
        return engine

    def connect(self, replica: str, connections: int) -> Engine:
        """An engine, which connects when it is used."""
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._address.connector(replica),
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
            use_native_hstore=False,
        )
        event.listen(engine, "begin", _begin)
        return engine

    def told(self) -> "Told":
        """Within it errors of the driver become errors of the port."""
        return Told(self)

    def check(self, connection: Connection) -> None:
        """Raise StoreUnusableError where a broker of this version cannot use it."""
        check_version(connection)
        found = recognise(connection)
        if found != REVISION:
            what = f"its schema is {found}" if found else "it has no tables yet"
            raise StoreUnusableError(
                f"{what}, and this version needs {REVISION}: run 'keybroker db upgrade'"
            )

    def work_after_opening(self) -> Work | None:
        """Nothing: its server looks after it."""
        return None

    def limit(self, connection: Connection, ends: float) -> None:
        """Have every statement on it end at this time."""
        _driver(connection).ends = ends

    def is_in_place(self) -> bool:
        """Another database in its place would have no tables, or no such keys."""
        return True

    def is_lost(self, error: Exception) -> bool:
        """Is the connection gone, as all of them are after a restart of the server?"""
        return isinstance(error, DBAPIError) and error.connection_invalidated

    def is_conflict(self, error: Exception) -> bool:
        """Did it lose to another broker?"""
        return getattr(getattr(error, "orig", None), "sqlstate", None) in _CONFLICTS

    def cause(self, error: BaseException | None) -> str:
        """What an error means."""
        return postgres_causes.cause(error)

    def now(self, connection: Connection) -> float:
        """The time of its server."""
        now: float = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())::float8"))
        return now

    def close(self) -> None:
        """Nothing was taken."""

    def unusable(self, why: str) -> StoreUnusableError:
        """The error for what only a person can mend."""
        return StoreUnusableError(f"the database {self.name} cannot be used: {why}")


class Told:
    """Turns errors of the driver into StoreUnavailableError, and names the database."""

    def __init__(self, place: PostgresPlace) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, SQLAlchemyError):
            why = self._place.cause(getattr(error, "orig", error))
            raise StoreUnavailableError(
                f"the database {self._place.name} does not work: {why}"
            ) from None
        if isinstance(error, StoreUnusableError):
            raise self._place.unusable(str(error)) from None


def check_version(connection: Connection) -> None:
    """Raise StoreUnusableError where the server is too old."""
    version = _driver(connection).info.server_version // 10_000
    if version < OLDEST:
        raise StoreUnusableError(
            f"its server is PostgreSQL {version}: use {OLDEST} or one that is newer"
        )


def _driver(connection: Connection) -> LimitedConnection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, LimitedConnection):
        raise TypeError
    return driver


def _begin(connection: Connection) -> None:
    """Begin a transaction, and say how long it may take, in one round trip.

    Writing is not asked for, so that a database that was made read-only by its owner stays so.
    """
    writes = connection.get_execution_options().get("writes", False)
    left_s = max(_driver(connection).ends - time.monotonic(), 0.001)
    begin = "BEGIN" if writes else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    limits = {
        "statement_timeout": left_s * SERVER_SHARE,
        "lock_timeout": max(left_s / 5, LOCK_S) * random.uniform(*_LOCK_JITTER),
        "idle_in_transaction_session_timeout": max(left_s / 10, LEFT_ALONE_S),
    }
    settings = [f"SET LOCAL {name} = {max(int(s * 1000), 1)}" for name, s in limits.items()]
    connection.exec_driver_sql("; ".join((begin, *settings)))
