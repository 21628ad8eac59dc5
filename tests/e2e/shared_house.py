"""Brokers as processes on one PostgreSQL, by way of a proxy that does to it what bad luck does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from broker.adapters.keyfiles import KeyFile, Purpose
from tests.e2e.processes import MARK, House
from tests.e2e.running import Broker
from tests.postgres import new_database
from tests.proxy import Proxy, proxy_of

SECRETS = {
    "LEASE_SECRETS": f"{MARK}-lease-{'l' * 32}",
    "FINGERPRINT_SECRET": f"{MARK}-fingerprint-{'f' * 32}",
}
"""What brokers on one database must have in common, beside a sealing key."""


AT_HAND = ("acme", "bravo", "charlie")
"""Tenants with a key that a broker has at hand after `set_up`."""


@dataclass
class SharedHouse:
    """A house whose brokers share a database at `url`, which they reach through a proxy."""

    house: House
    url: str
    proxy: Proxy

    async def start(self, name: str = "one", *, url: str = "", **settings: str) -> Broker:
        """A broker of the fleet, which reaches the database at `url` where that is given."""
        return await self.house.start(DATABASE=url or self.way, REPLICA=name, **settings)

    @property
    def way(self) -> str:
        """The database's URL, through the proxy."""
        return self.proxy.url(self.url)

    async def sql(self, statement: LiteralString, *values: object) -> list[tuple[object, ...]]:
        """Do something to the database behind the brokers' backs."""
        connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        async with connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def facts(self) -> list[tuple[str, int, dict[str, str]]]:
        """The log of facts: provider, position and fact, in order."""
        found = await self.sql("SELECT provider, position, record FROM facts ORDER BY 1, 2")
        return [(str(name), int(str(at)), json.loads(str(fact))) for name, at, fact in found]


@asynccontextmanager
async def shared(house: House, url: str = "") -> AsyncIterator[SharedHouse]:
    """Have the brokers of a house share a database: a new one, or the one at `url`."""
    seal = house.folder / "shared-seal.key"
    KeyFile(seal, Purpose.SEAL).obtain()
    house.settings |= SECRETS | {"SEAL_KEY_FILE": str(seal)}
    async with _database(url) as found, proxy_of(found) as proxy:
        yield SharedHouse(house, found, proxy)


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[str]:
    if url:
        yield url
        return
    async with new_database() as new:
        yield new


async def set_up(world: SharedHouse, name: str = "one") -> Broker:
    """A broker with system keys, and with tenants at hand of whom some have keys of their own."""
    house = world.house
    house.write_env(
        OPENAI_API_KEY_1=house.issue("s1"),
        OPENAI_API_KEY_2=house.issue("s2"),
        GROQ_API_KEY=house.issue("g1", "groq"),
    )
    broker = await world.start(name)
    await broker.says("boot_probe_done")
    for tenant in (*AT_HAND, "other"):
        await broker.create(tenant, house.issue(tenant), f"{tenant}-1")
    for tenant in (*AT_HAND, "golf", "hotel"):
        await broker.lease(tenant)
    return broker
