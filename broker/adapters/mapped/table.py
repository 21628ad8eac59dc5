"""Another system's table as it is read: some threads, a deadline, and what is wrong with it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, TextClause
from sqlalchemy.exc import DBAPIError

from broker.adapters.mapped.engines import causes, make_engine, their_place
from broker.adapters.mapped.rows import Row
from broker.adapters.mapped.shape import Shape
from broker.adapters.mapped.statements import of_key, of_tenant
from broker.adapters.sql.faults import Episode
from broker.adapters.sql.job import Job
from broker.adapters.sql.place import Place
from broker.adapters.sql.reader import Readers
from broker.ports.errors import StoreUnavailableError

T = TypeVar("T")

READERS = 4

DEADLINE_S = 0.9

_NO_SUCH_VALUE = frozenset({"22P02", "22003", "22007", "22008"})
"""What PostgreSQL answers to a name that its column, of numbers or UUIDs, cannot hold."""


class TheirTable:
    """A table or query that is read by tenant; nothing else is ever asked of its database."""

    def __init__(self, shape: Shape, place: Place, engine: Engine, deadline_s: float) -> None:
        self.shape = shape
        self._engine = engine
        self._deadline_s = deadline_s
        self._of_tenant = of_tenant(shape, engine.dialect)
        self._of_key = of_key(shape, engine.dialect)
        self._episode = Episode(place.name, f"reading {shape.name}", causes(place))
        self._readers = Readers(place, engine, self._episode, READERS)
        self._is_closed = False

    @classmethod
    def open(
        cls,
        shape: Shape,
        url: str,
        replica: str = "",
        *,
        password: str | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> "TheirTable":
        """Ready to be read; it connects when it is. Raises StoreUnusableError for the URL."""
        place = their_place(url, password)
        return cls(shape, place, make_engine(place, replica, READERS), deadline_s)

    @property
    def fault(self) -> str:
        """What is wrong with the database as the last calls found it, "" while it works."""
        return self._episode.fault

    async def of_tenant(self, tenant: str) -> Sequence[Row]:
        """The rows of a tenant, and perhaps of others. Raises StoreUnavailableError."""
        return await self._rows(self._of_tenant, {"tenant": tenant})

    async def of_key(self, key_id: str) -> Sequence[Row]:
        """The rows of a key, where they can be found by its id. Raises StoreUnavailableError."""
        if self._of_key is None:
            return ()
        return await self._rows(self._of_key, {"key_id": key_id})

    async def close(self) -> None:
        """Let go of the database."""
        self._is_closed = True
        await asyncio.to_thread(self._close)

    async def _rows(self, statement: TextClause, values: dict[str, str]) -> Sequence[Row]:
        if any("\0" in value for value in values.values()):
            return ()  # no database has such a name

        def read(connection: Connection) -> list[Row]:
            try:
                rows = connection.execute(statement, values).mappings().all()
            except DBAPIError as error:
                is_no_value = getattr(error.orig, "sqlstate", "") in _NO_SUCH_VALUE
                if self.shape.table and is_no_value:
                    return []
                raise
            return [_in_our_words(row) for row in rows]

        try:
            return await self._read(read)
        except StoreUnavailableError as error:
            raise StoreUnavailableError(f"{self.shape.name}: {error}") from None

    async def _read(self, work: Callable[[Connection], T]) -> T:
        if self._is_closed:
            raise StoreUnavailableError("the database is closed")
        job = Job(work, self._deadline_s)
        self._readers.put(job)
        return await job.wait()

    def _close(self) -> None:
        self._readers.close(self._deadline_s)
        self._engine.dispose()


def _in_our_words(row: Any) -> Row:  # noqa: ANN401 - columns of any type
    return {name.removeprefix("kb_"): cell for name, cell in row.items()}
