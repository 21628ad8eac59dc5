"""Column types that both databases understand in the same way."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is ordered by its code points, as Python and SQLite do."""

COUNTED = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up."""


class Xid(UserDefinedType[int]):
    """The number of a transaction; PostgreSQL knows how to compare it with others."""

    cache_ok: bool | None = True

    def get_col_spec(self, **_options: object) -> str:
        """Its name in PostgreSQL."""
        return "xid8"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        """As text, whose type PostgreSQL infers."""
        return str

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int]:
        """From text."""
        return int


XID = Xid().with_variant(Integer, "sqlite")

ischema_names["xid8"] = Xid  # so that alembic knows it when it sees it
