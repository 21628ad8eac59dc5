"""Brings a database to the schema of this version; one of a newer version is left alone."""

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from broker.adapters.sql.schema import REVISION
from broker.ports.errors import StoreUnusableError

BASE = "base"
"""The schema before the first step, which has no tables."""

_STEPS = Path(__file__).parent / "migrations"


def recognise(connection: Connection) -> str:
    """The revision of the schema, "" where there is none yet.

    Raises StoreUnusableError for a schema that this version does not know; changes nothing.
    """
    found = revision_of(connection)
    if not found and _has_tables(connection):
        raise StoreUnusableError("it holds tables that are not Keybroker's: name another database")
    if found and found not in revisions():
        raise StoreUnusableError(
            f"its schema is {found}, and this version knows those up to {REVISION}: run the version"
            " that wrote it, or restore a backup from before the upgrade"
        )
    return found


def upgrade(connection: Connection, revision: str = REVISION) -> None:
    """Migrate within the connection's transaction, if there is anything to do."""
    if revision_of(connection) != revision:
        _run(connection, "upgrade", revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Go back to an older schema, or BASE, dropping what it has no place for."""
    _run(connection, "downgrade", revision)


def revision_of(connection: Connection) -> str:
    """The revision of the schema, "" where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")


def _has_tables(connection: Connection) -> bool:
    return bool(set(inspect(connection).get_table_names()) - {"alembic_version"})


def revisions() -> list[str]:
    """The schemas that this version knows, the oldest first."""
    return sorted(step.stem[1:5] for step in _STEPS.glob("versions/v*.py"))


def _run(connection: Connection, direction: str, revision: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each step and plugin
    from alembic import command  # noqa: PLC0415 - slow to import, and mostly not needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_STEPS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    go = command.upgrade if direction == "upgrade" else command.downgrade
    go(config, revision)
