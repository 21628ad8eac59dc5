"""System keys' last good secrets as rows."""

from sqlalchemy import Connection, delete, insert, select, union

from broker.adapters.sql.database import Database
from broker.adapters.sql.rows import AnyRow, readable, sealed_of, sealed_values, time_of
from broker.adapters.sql.schema import KEY_REVISIONS, LAST_GOOD
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

        def write(connection: Connection) -> None:
            connection.execute(delete(LAST_GOOD).where(LAST_GOOD.c.key_id == last_good.key_id))
            connection.execute(insert(LAST_GOOD).values(values))

        await self._database.write(write)

    async def remove(self, key_id: str) -> None:
        """Forget a key's."""
        gone = delete(LAST_GOOD).where(LAST_GOOD.c.key_id == key_id)
        await self._database.write(lambda connection: connection.execute(gone).rowcount)


async def sealing_keys(database: Database) -> frozenset[str]:
    """The ids of all sealing keys that sealed something in the database."""
    query = union(select(KEY_REVISIONS.c.sealed_by), select(LAST_GOOD.c.sealed_by))
    rows = await database.read(lambda connection: connection.execute(query).fetchall())
    return frozenset(row.sealed_by for row in rows)


def _last_good_of(row: AnyRow) -> LastGood:
    with readable(f"the last good secret of {row.key_id!r}"):
        return LastGood(
            row.key_id, row.provider, row.revision, sealed_of(row), time_of(row.authenticated_at)
        )
