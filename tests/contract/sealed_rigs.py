"""Sealed rows with the stores that they are the rows of."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from broker.adapters.memory import MemoryKeyStore, MemoryLastGoodStore, MemorySealedRows
from broker.adapters.sql import Database, SqlKeyStore, SqlLastGoodStore, SqlSealedRows
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.sealed_rows import SealedRows
from tests.contract.sql_rigs import on_database, on_postgresql


@dataclass
class RowsRig:
    """Rows, and the two stores that put them there."""

    rows: SealedRows
    keys: KeyStore
    last_good: LastGoodStore


def sql_rig(database: Database) -> RowsRig:
    return RowsRig(SqlSealedRows(database), SqlKeyStore(database), SqlLastGoodStore(database))


@asynccontextmanager
async def memory_rig() -> AsyncIterator[RowsRig]:
    keys, last_good = MemoryKeyStore(), MemoryLastGoodStore()
    yield RowsRig(MemorySealedRows(keys, last_good), keys, last_good)


SEALED_ROWS: Mapping[str, Callable[[], AbstractAsyncContextManager[RowsRig]]] = {
    "memory": memory_rig,
    "sql": on_database(sql_rig),
    "postgresql": on_postgresql(sql_rig),
}
