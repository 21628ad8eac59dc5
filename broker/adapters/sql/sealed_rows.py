"""Everything that is sealed, of both tables that hold it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    tuple_,
    update,
)

from broker.adapters.sql.database import Database
from broker.adapters.sql.rows import AnyRow, sealed_values
from broker.adapters.sql.schema import KEY_REVISIONS, KEYS, LAST_GOOD
from broker.core.sealed import Binding, SealedSecret
from broker.ports.sealed_rows import Dropped, Resealed, RowName, SealedRow

LONG_S = 60.0
"""For what looks through all rows, or waits for locks on many; nobody's request waits for it."""

_IS_RESEALING = "keybroker.is_resealing"
"""What the triggers ask for; see `migrations/triggers.py`."""

_TABLES: Mapping[str, Table] = {table.name: table for table in (KEY_REVISIONS, LAST_GOOD)}
_K, _R, _G = KEYS.c, KEY_REVISIONS.c, LAST_GOOD.c


class SqlSealedRows:
    """The revisions of tenants' keys, then system keys' last good secrets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self) -> Mapping[str, int]:
        """How many rows each sealing key has sealed; an index tells."""

        def read(connection: Connection) -> Mapping[str, int]:
            counts = Counter[str]()
            for table in _TABLES.values():
                by = table.c.sealed_by
                query = select(by, func.count().label("number")).group_by(by)
                for row in connection.execute(query):
                    counts[_text(row.sealed_by)] += row.number
            return counts

        return await self._database.read(read, within_s=LONG_S)

    async def sealed_by(self) -> frozenset[str]:
        """The ids of all keys that sealed something; one step in an index finds the next one."""

        def read(connection: Connection) -> frozenset[str]:
            found = set[str]()
            for table in _TABLES.values():
                by = table.c.sealed_by
                next_one = connection.scalar(select(func.min(by)))
                while next_one is not None:
                    found.add(_text(next_one))
                    next_one = connection.scalar(select(func.min(by)).where(by > next_one))
            return frozenset(found)

        return await self._database.read(read, within_s=LONG_S)

    async def page(
        self, after: RowName | None, limit: int, *, not_by: str = "", by: str = ""
    ) -> Sequence[SealedRow]:
        """Up to `limit` rows that come after `after`."""

        def read(connection: Connection) -> Sequence[SealedRow]:
            rows: list[SealedRow] = []
            for name, table in _TABLES.items():
                if after is not None and name < after.table:
                    continue
                query = _theirs(table).limit(limit - len(rows))
                if after is not None and name == after.table:
                    query = query.where(_is_after(table, after))
                if by:
                    query = query.where(table.c.sealed_by == by)
                if not_by:
                    query = query.where(table.c.sealed_by != not_by)
                if len(rows) < limit:
                    rows += (_row_of(name, row) for row in connection.execute(query))
            return rows

        return await self._database.read(read, within_s=LONG_S)

    async def replace(self, resealed: Sequence[Resealed]) -> int:
        """Replace each secret that is still as it was before."""

        def write(connection: Connection) -> int:
            with _untold(connection):
                return sum(
                    connection.execute(_replacing(table), values).rowcount
                    for table in _TABLES.values()
                    if (values := _replaced(table, resealed))
                )

        return await self._database.write(write, within_s=LONG_S)

    async def drop(self, rows: Sequence[SealedRow]) -> Sequence[Dropped]:
        """Forget each row that is still as it was."""

        def write(connection: Connection) -> Sequence[Dropped]:
            dropped = (_drop(connection, row) for row in sorted(rows, key=lambda row: row.name))
            return [each for each in dropped if each is not None]

        return await self._database.write(write, within_s=LONG_S)


@contextmanager
def _untold(connection: Connection) -> Iterator[None]:
    """Have no broker read tenants anew: what their secrets are stays the same."""
    if connection.dialect.name != "postgresql":
        yield
        return
    setting = func.set_config(_IS_RESEALING, bindparam("value"), True)  # noqa: FBT003 - is local
    connection.execute(select(setting), {"value": "on"})
    yield
    connection.execute(select(setting), {"value": "off"})


def _drop(connection: Connection, row: SealedRow) -> Dropped | None:
    """Forget one row; its key is locked, so that no new revision comes before that is gone."""
    name = row.name
    if name.table == KEY_REVISIONS.name:
        lock = select(_K.key_id).where(_K.key_id == name.key_id).with_for_update()
        connection.execute(lock)
    gone = delete(_TABLES[name.table]).where(_is(name), _holds(name, row.sealed))
    if not connection.execute(gone).rowcount:
        return None
    if name.table != KEY_REVISIONS.name:
        return Dropped(row)
    has_others = exists().where(_R.key_id == name.key_id)
    empty = delete(KEYS).where(_K.key_id == name.key_id, ~has_others)
    return Dropped(row, was_last=bool(connection.execute(empty).rowcount))


def _theirs(table: Table) -> Select[tuple[str, str, str, str, str, str, bytes, bytes]]:
    """The rows of a table by name, with what they are bound to."""
    sealed = (table.c.sealed_by, table.c.wrapped_key, table.c.ciphertext)
    if table is KEY_REVISIONS:
        bound = (_K.tenant, _K.provider, _K.base_url)
        query = select(_R.key_id, _R.revision, *bound, *sealed).join_from(KEY_REVISIONS, KEYS)
        return query.order_by(_R.key_id, _R.revision)
    return select(_G.key_id, _G.revision, _G.provider, *sealed).order_by(_G.key_id, _G.revision)


def _is_after(table: Table, name: RowName) -> ColumnElement[bool]:
    columns = (table.c.key_id, table.c.revision)
    return tuple_(*columns) > tuple_(name.key_id, name.revision)


def _is(name: RowName) -> ColumnElement[bool]:
    table = _TABLES[name.table]
    return and_(table.c.key_id == name.key_id, table.c.revision == name.revision)


def _holds(name: RowName, sealed: SealedSecret) -> ColumnElement[bool]:
    """Is it still sealed so? Both parts are random, so that the key's id says nothing more.

    A planner without statistics would take the index of that id in place of the row's.
    """
    table = _TABLES[name.table]
    return and_(table.c.wrapped_key == sealed.wrapped_key, table.c.ciphertext == sealed.ciphertext)


def _replacing(table: Table) -> Update:
    """Replaces one secret, if it is still sealed as before; see `_holds`."""
    columns, names = table.c, ("key_id", "revision", "wrapped_key", "ciphertext")
    before = (columns[name] == bindparam(f"old_{name}") for name in names)
    return update(table).where(*before)


def _replaced(table: Table, resealed: Sequence[Resealed]) -> list[dict[str, object]]:
    """The values for those of a table, by name: whoever locks the same rows does so in order."""
    return [
        {
            "old_key_id": each.name.key_id,
            "old_revision": each.name.revision,
            "old_wrapped_key": each.before.wrapped_key,
            "old_ciphertext": each.before.ciphertext,
            **sealed_values(each.after),
        }
        for each in sorted(resealed, key=lambda each: each.name)
        if each.name.table == table.name
    ]


def _row_of(table: str, row: AnyRow) -> SealedRow:
    name = RowName(table, _text(row.key_id), _text(row.revision))
    binding = Binding(
        _text(getattr(row, "tenant", "")),
        _text(row.provider),
        name.key_id,
        name.revision,
        _text(getattr(row, "base_url", "")),
    )
    sealed = SealedSecret(_text(row.sealed_by), _bytes(row.wrapped_key), _bytes(row.ciphertext))
    return SealedRow(name, binding, sealed)


def _text(value: object) -> str:
    """Text, whatever SQLite was made to keep there."""
    return value if isinstance(value, str) else repr(value)


def _bytes(value: object) -> bytes:
    """Bytes; anything else opens as little as none."""
    return value if isinstance(value, bytes) else b""
