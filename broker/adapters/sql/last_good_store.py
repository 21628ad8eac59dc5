"""System keys' last good secrets as rows."""

from functools import partial

from sqlalchemy import Connection, Table, delete, func, select

from broker.adapters.sql.database import Database
from broker.adapters.sql.rows import AnyRow, readable, sealed_of, sealed_values, time_of
from broker.adapters.sql.schema import KEY_REVISIONS, LAST_GOOD
from broker.adapters.sql.upserting import insert_or_replace
from broker.ports.last_good import LastGood


class SqlLastGoodStore:
    """One row a key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> tuple[LastGood, ...]:
        """Every one there is, by key id."""
        query = select(LAST_GOOD).order_by(LAST_GOOD.c.key_id)
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return tuple(map(_last_good_of, rows))

    async def put(self, last_good: LastGood) -> None:
        """Keep it in place of the key's earlier one."""
        values = {
            "key_id": last_good.key_id,
            "provider": last_good.provider,
            "revision": last_good.revision,
            "authenticated_at": last_good.authenticated_at,
            **sealed_values(last_good.sealed),
        }

        await self._database.write(partial(insert_or_replace, table=LAST_GOOD, values=values))

    async def remove(self, key_id: str) -> None:
        """Forget a key's."""
        gone = delete(LAST_GOOD).where(LAST_GOOD.c.key_id == key_id)
        await self._database.write(lambda connection: connection.execute(gone).rowcount)


async def sealing_keys(database: Database) -> frozenset[str]:
    """The ids of all sealing keys that sealed something in the database."""
    return await database.read(find_sealing_keys)


def find_sealing_keys(connection: Connection) -> frozenset[str]:
    """The ids of all sealing keys that sealed something."""
    found = (_sealing_keys_of(connection, table) for table in (KEY_REVISIONS, LAST_GOOD))
    return frozenset().union(*found)


def _sealing_keys_of(connection: Connection, table: Table) -> frozenset[str]:
    """One look into the index for each key: a million rows are sealed by one or two."""
    sealed_by = table.c.sealed_by
    first = select(func.min(sealed_by).label("sealed_by")).cte("sealing_keys", recursive=True)
    following = select(func.min(sealed_by)).where(sealed_by > first.c.sealed_by).scalar_subquery()
    found = first.union_all(select(following).where(first.c.sealed_by.is_not(None)))
    query = select(found.c.sealed_by).where(found.c.sealed_by.is_not(None))
    return frozenset(connection.scalars(query))


def _last_good_of(row: AnyRow) -> LastGood:
    with readable(f"the last good secret of {row.key_id!r}"):
        return LastGood(
            row.key_id, row.provider, row.revision, sealed_of(row), time_of(row.authenticated_at)
        )
