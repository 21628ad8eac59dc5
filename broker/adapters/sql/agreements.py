"""Agreements and attendance as tables."""

import json
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, delete, select

from broker.adapters.sql.database import Database
from broker.adapters.sql.rows import AnyRow, readable, time_of
from broker.adapters.sql.schema import AGREEMENTS, REPLICAS
from broker.adapters.sql.upserting import insert_if_new, insert_or_replace
from broker.ports.agreements import Attendance

FORGOTTEN_S = 24 * 3600.0
"""How long a broker that did not say that it ended is remembered."""

_A, _R = AGREEMENTS.c, REPLICAS.c


class SqlAgreements:
    """What the brokers on one database agree on, and which of them there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        """The value of a name."""
        return await self._database.read(partial(_value, name=name))

    async def put(self, name: str, value: str) -> None:
        """Put a value in place of another."""
        values = {"name": name, "value": value}
        await self._database.write(partial(insert_or_replace, table=AGREEMENTS, values=values))

    async def put_first(self, name: str, value: str) -> str:
        """The value that was there first."""

        def put(connection: Connection) -> str:
            insert_if_new(connection, AGREEMENTS, {"name": name, "value": value})
            found = _value(connection, name)
            return value if found is None else found

        return await self._database.write(put)

    async def attend(self, attendance: Attendance) -> None:
        """Write down that a broker is there."""
        await self._database.write(partial(_attend, attendance=attendance))

    async def leave(self, replica: str) -> None:
        """Forget a broker."""

        def forget(connection: Connection) -> None:
            connection.execute(delete(REPLICAS).where(_R.replica == replica))

        await self._database.write(forget)

    async def present(self, since: float) -> Sequence[Attendance]:
        """Those that were seen since."""
        query = select(REPLICAS).where(_R.seen_at >= since).order_by(_R.replica)
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return [_attendance_of(row) for row in rows]


def _value(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(_A.value).where(_A.name == name))


def _attend(connection: Connection, attendance: Attendance) -> None:
    values = {
        "replica": attendance.replica,
        "seen_at": attendance.seen_at,
        "sealing_keys": json.dumps(sorted(attendance.sealing_keys)),
    }
    insert_or_replace(connection, REPLICAS, values)
    connection.execute(delete(REPLICAS).where(_R.seen_at < attendance.seen_at - FORGOTTEN_S))


def _attendance_of(row: AnyRow) -> Attendance:
    with readable(f"the attendance of a broker {row.replica!r}"):
        return Attendance(row.replica, time_of(row.seen_at), _names(json.loads(row.sealing_keys)))


def _names(found: object) -> frozenset[str]:
    if not isinstance(found, list):
        raise TypeError
    return frozenset(map(str, found))
