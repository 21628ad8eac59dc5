"""Another system's database with a table of tenants' keys, in SQLite and in PostgreSQL."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from broker.adapters.mapped import (
    Decrypt,
    MappedKeyStore,
    RowReader,
    Shape,
    TheirKeys,
    TheirTable,
    plain,
)
from broker.adapters.memory import MemoryKeyStore
from broker.adapters.seal import AesSealer
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.key_store import StoredKey
from broker.services.opening import binding_of
from tests.fakes import FakeClock
from tests.postgres import new_database

VAULT = AesSealer.of_keys(bytes(range(32)))
FINGERPRINT = b"fingerprint"
NEEDED = {"tenant": "tenant", "provider": "provider", "secret": "secret"}
KNOWN = ("anthropic", "openai")
OWN = Provenance.TENANT

Execute = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Theirs:
    """A database of theirs: its URL, and how its owner changes it; `?` stands for values."""

    url: str
    execute: Execute
    kind: str

    async def do(self, statement: str, *values: object) -> None:
        await asyncio.to_thread(self.execute, statement, *values)


@asynccontextmanager
async def in_sqlite() -> AsyncIterator[Theirs]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "theirs.db")

        def execute(statement: str, *values: object) -> None:
            connection = sqlite3.connect(path)
            with connection:
                connection.execute(statement, values)
            connection.close()

        execute("PRAGMA journal_mode=WAL")
        yield Theirs(f"sqlite:///{path}", execute, "sqlite")


@asynccontextmanager
async def in_postgres() -> AsyncIterator[Theirs]:
    async with new_database(schema=False) as url:

        def execute(statement: str, *values: object) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(statement.replace("?", "%s"), values)

        yield Theirs(url, execute, "postgresql")


DATABASES: Mapping[str, Callable[[], AbstractAsyncContextManager[Theirs]]] = {
    "sqlite": in_sqlite,
    "postgres": in_postgres,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A store over their table, and the broker's own store beside it."""

    store: MappedKeyStore
    own: MemoryKeyStore
    table: TheirTable
    clock: FakeClock

    async def secrets(self, tenant: str) -> dict[str, str]:
        """The secrets of a tenant's keys by id; "" where one does not open."""
        keys = (await self.store.tenant(tenant)).keys
        return {key.key_id: await opened(key) for key in keys}


async def opened(key: StoredKey) -> str:
    revision = key.revisions[0]
    try:
        return (await VAULT.open(revision.sealed, binding_of(key, revision))).reveal()
    except Exception:  # noqa: BLE001 - however it fails
        return ""


@asynccontextmanager
async def reading(
    theirs: Theirs,
    *,
    table: str = "",
    query: str = "",
    columns: Mapping[str, str] | None = None,
    providers: Mapping[str, str] | None = None,
    decrypt: Decrypt = plain,
    known: Sequence[str] = KNOWN,
    url: str = "",
) -> AsyncIterator[Reading]:
    """A store that reads a table, `keys` unless it or a query is named."""
    shape = Shape(
        table=table or ("" if query else "keys"),
        query=query,
        columns=NEEDED | dict(columns or {}),
        providers=dict(providers or {}),
        known=known,
    )
    own, clock = MemoryKeyStore(), FakeClock()
    opened_table = TheirTable.open(shape, url or theirs.url)
    keys = TheirKeys(opened_table, RowReader(shape, decrypt), VAULT, FINGERPRINT, clock)
    store = MappedKeyStore(own, keys)
    try:
        yield Reading(store, own, opened_table, clock)
    finally:
        await store.close()


def fingerprint(secret: str) -> str:
    return Secret(secret).fingerprint(FINGERPRINT)
