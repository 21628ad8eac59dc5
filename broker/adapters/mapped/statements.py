"""The statements that read another system's table: of one tenant, or of one key, and no more."""

from typing import Final

from sqlalchemy import Dialect, TextClause, bindparam, text
from sqlalchemy.types import NullType

from broker.adapters.mapped.shape import COLUMNS, Shape

MAX_ROWS: Final = 1000
"""Rows of one tenant that are read; where there are more, none of them is believed."""


def of_tenant(shape: Shape, dialect: Dialect) -> TextClause:
    """All rows of `:tenant`, and one more than are read."""
    where = f" WHERE {_column(shape, 'tenant', dialect)} = :tenant" if shape.table else ""
    return _reading(shape, dialect, where, "tenant")


def of_key(shape: Shape, dialect: Dialect) -> TextClause | None:
    """The rows whose key id is `:key_id`; None where they cannot be found by that."""
    if not shape.table or "key_id" not in shape.columns:
        return None
    where = f" WHERE {_column(shape, 'key_id', dialect)} = :key_id"
    return _reading(shape, dialect, where, "key_id")


def _reading(shape: Shape, dialect: Dialect, where: str, parameter: str) -> TextClause:
    names = [name for name in COLUMNS if name in shape.columns]
    columns = ", ".join(f"{_column(shape, name, dialect)} AS kb_{name}" for name in names)
    if shape.table:
        source = ".".join(_quoted(part, dialect) for part in shape.table.split("."))
    else:
        # Only what is mapped is read. The line ends before the bracket, for a comment may end it.
        source = f"({shape.query.strip().rstrip(';')}\n)"
    statement = f"SELECT {columns} FROM {source} AS theirs{where} LIMIT {MAX_ROWS + 1}"  # noqa: S608 - identifiers are quoted, values bound
    # Without a type: the database takes the value for what its column is, a number or a UUID.
    return text(statement).bindparams(bindparam(parameter, type_=NullType()))


def _column(shape: Shape, name: str, dialect: Dialect) -> str:
    """A column with the table's name before it: alone, SQLite would take a wrong one for a text."""
    return f"theirs.{_quoted(shape.columns[name], dialect)}"


def _quoted(identifier: str, dialect: Dialect) -> str:
    """An identifier as it is, to the letter; `:` would begin a parameter."""
    return dialect.identifier_preparer.quote_identifier(identifier).replace(":", r"\:")
