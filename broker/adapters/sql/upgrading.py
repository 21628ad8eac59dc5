"""Taking a database from one schema to another by hand, as no broker does with a shared one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from broker.adapters.sql.database import place_of
from broker.adapters.sql.migrating import BASE, downgrade, recognise, revision_of, upgrade
from broker.adapters.sql.place import Place
from broker.adapters.sql.schema import REVISION
from broker.ports.errors import StoreUnavailableError, StoreUnusableError

MIGRATION_S = 3600.0
"""How long a migration may take: one that copies a large table takes minutes."""

_ALONE = (
    # Whoever migrates waits for another who does, and little for brokers: they wait behind it.
    "SELECT pg_advisory_xact_lock(7377315283)",
    "SET LOCAL lock_timeout = '5s'",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


def upgrade_database(
    location: Path | str, password: str | None = None, revision: str = REVISION
) -> tuple[str, str]:
    """Bring a database to a newer schema; the revisions before and after, "" for none.

    All of it or nothing. Raises StoreUnusableError and StoreUnavailableError.
    """
    with connected(location, password, writes=True) as connection:
        before = recognise(connection)
        if before < revision:
            upgrade(connection, revision)
        return before, revision_of(connection)


def downgrade_database(
    location: Path | str, revision: str, password: str | None = None
) -> tuple[str, str]:
    """Take a database back to an older schema, or BASE, dropping what it has no place for.

    All of it or nothing. Raises StoreUnusableError and StoreUnavailableError.
    """
    with connected(location, password, writes=True) as connection:
        before = recognise(connection)
        if before and (revision == BASE or revision < before):
            downgrade(connection, revision)
        return before, revision_of(connection)


def current_revision(location: Path | str, password: str | None = None) -> str:
    """The schema of a database, "" for none; as `upgrade_database` raises."""
    with connected(location, password) as connection:
        return recognise(connection)


@contextmanager
def connected(
    location: Path | str, password: str | None = None, *, writes: bool = False
) -> Iterator[Connection]:
    """A connection in one transaction, which may take long, whatever the schema is.

    Raises StoreUnusableError and StoreUnavailableError, which name the database.
    """
    place = place_of(location, password=password)
    engine = place.connect("migration", connections=1).execution_options(writes=writes)
    try:
        with _told(place), engine.connect() as connection:
            place.limit(connection, time.monotonic() + MIGRATION_S)
            with connection.begin():
                if writes and place.is_shared:
                    for statement in _ALONE:
                        connection.execute(text(statement))
                yield connection
    finally:
        engine.dispose()
        place.close()


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Have errors say which database they are about, and none be the driver's."""
    try:
        yield
    except SQLAlchemyError as error:
        why = place.cause(getattr(error, "orig", error))
        raise StoreUnavailableError(f"the database {place.name} does not work: {why}") from None
    except StoreUnusableError as error:
        raise StoreUnusableError(f"the database {place.name} cannot be used: {error}") from None
