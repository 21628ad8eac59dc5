"""Another system's database, opened so that nothing can be written to it."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from broker.adapters.sql.database import place_of
from broker.adapters.sql.place import Place
from broker.adapters.sql.sqlite import SqlitePlace
from broker.adapters.sql.sqlite import cause as sqlite_cause
from broker.ports.errors import StoreUnusableError

_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the time: less than a millisecond."""

_UNLIKE: Final = (
    "it is not as KEYBROKER_TENANT_TABLE says: look at the names of table and columns, and at the"
    " query"
)
_CAUSES: Final = {
    "42501": "the broker's user may not read it: grant it SELECT on the table, and no more",
    "42": _UNLIKE,
    "3F": _UNLIKE,
    "SQLITE_ERROR": _UNLIKE,
    "SQLITE_INTERRUPT": "it does not answer in time: is there an index on the tenant's column?",
}
"""By SQLSTATE or its class, or SQLite's name of the error."""


class OthersFile(SqlitePlace):
    """A SQLite file of another system: taken from nobody, and never made."""

    def connect(self, replica: str, connections: int) -> Engine:
        """An engine that can only read."""
        uri = f"{Path(self.name).absolute().as_uri()}?mode=ro"

        def connect() -> sqlite3.Connection:
            driver = sqlite3.connect(uri, uri=True, timeout=0.4, check_same_thread=False)
            driver.text_factory = _text
            return driver

        return create_engine(
            "sqlite+pysqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
        )

    def limit(self, connection: Connection, ends: float) -> None:
        """End a statement that looks at too many rows."""
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)

    def cause(self, error: BaseException | None) -> str:
        """Why it does not work."""
        return sqlite_cause(error)


def their_place(url: str, password: str | None = None) -> Place:
    """Where a URL leads. Raises StoreUnusableError."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise StoreUnusableError("the tenant table's url is no URL") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return OthersFile(Path(parsed.database))
    if backend == "postgresql":
        return place_of(url, password=password)
    raise StoreUnusableError("the tenant table's url must be postgresql:// or sqlite:///")


def make_engine(place: Place, replica: str, connections: int) -> Engine:
    """An engine all of whose transactions only read."""
    engine = place.connect(replica, connections)
    if place.kind == "postgresql":
        event.listen(engine, "connect", _only_read)
    return engine


def causes(place: Place) -> Callable[[BaseException | None], str]:
    """What errors of this place mean to who mapped a table."""

    def cause(error: BaseException | None) -> str:
        state = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or ""
        for prefix, meaning in _CAUSES.items():
            if state.startswith(prefix):
                return meaning
        return place.cause(error)

    return cause


def _only_read(driver: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's own signature
    driver.execute("SET default_transaction_read_only = on")


def _text(stored: bytes) -> str:
    """A text that is none in UTF-8 must spoil its own row alone."""
    return stored.decode(errors="replace")
