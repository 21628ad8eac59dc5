"""Rows that replace others, or give way to them, also when two brokers write at once."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_INSERTS: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_or_replace(connection: Connection, table: Table, values: Mapping[str, object]) -> None:
    """Insert a row, or replace the columns of the one that has its primary key."""
    insert = _INSERTS[connection.dialect.name](table).values(values)
    key = [column.name for column in table.primary_key]
    others = {name: insert.excluded[name] for name in values if name not in key}
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=others))


def insert_if_new(connection: Connection, table: Table, values: Mapping[str, object]) -> bool:
    """Insert a row, unless one has its primary key already; say whether it was new."""
    insert = _INSERTS[connection.dialect.name](table).values(values)
    return bool(connection.execute(insert.on_conflict_do_nothing()).rowcount)
