"""Operators' marks as rows."""

from functools import partial

from sqlalchemy import ColumnElement, delete, select

from broker.adapters.sql.database import Database
from broker.adapters.sql.rows import AnyRow, readable, time_of
from broker.adapters.sql.schema import MARKS
from broker.adapters.sql.upserting import insert_or_replace
from broker.ports.mark_store import Mark, MarkKind


class SqlMarkStore:
    """One row a kind and subject."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def marks(self) -> tuple[Mark, ...]:
        """All marks, oldest first."""
        query = select(MARKS).order_by(MARKS.c.at, MARKS.c.kind, MARKS.c.subject)
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return tuple(map(_mark_of, rows))

    async def put(self, mark: Mark) -> None:
        """Set a mark, replacing the subject's mark of the same kind."""
        values = {
            "kind": mark.kind.value,
            "subject": mark.subject,
            "at": mark.at,
            "principal": mark.principal,
            "reason": mark.reason,
        }

        await self._database.write(partial(insert_or_replace, table=MARKS, values=values))

    async def remove(self, kind: MarkKind, subject: str) -> None:
        """Lift a mark, if it is set."""
        gone = delete(MARKS).where(_is(kind, subject))
        await self._database.write(lambda connection: connection.execute(gone).rowcount)


def _is(kind: MarkKind, subject: str) -> ColumnElement[bool]:
    return (MARKS.c.kind == kind.value) & (MARKS.c.subject == subject)


def _mark_of(row: AnyRow) -> Mark:
    with readable(f"a mark on {row.subject!r}"):
        return Mark(MarkKind(row.kind), row.subject, time_of(row.at), row.principal, row.reason)
