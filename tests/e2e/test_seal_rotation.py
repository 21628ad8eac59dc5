"""The sealing key rotates while everybody works, and the broker is killed again and again."""

import asyncio
import random
from dataclasses import dataclass, field

import grpc
import pytest

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesSealer
from broker.adapters.sql import Database, SqlKeyStore
from broker.core.key import KeySettings
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.key_store import StoredKey, StoredRevision
from keybroker.v1 import admin_pb2
from tests.e2e.command import environment, keybroker
from tests.e2e.conftest import MODELS
from tests.e2e.processes import MARK, TENANTS, House, house
from tests.e2e.running import Broker

__all__ = ["house"]

KILLS = 10
MAX_KILLS = 5 * KILLS
"""One of them must come while some rows are sealed anew and others are not."""

OTHERS = 1500
"""Rows of tenants that are seldom asked for: a rotation is under way for a while."""


def secret_of(number: int) -> str:
    return f"sk-{MARK}-other-{number}"


async def fill(house: House) -> None:
    """Many tenants with a key each, while no broker runs."""
    keys = KeyFile(house.beside("seal.key"), Purpose.SEAL).obtain()
    sealer, stored = AesSealer.of_keys(*keys), []
    for number in range(OTHERS):
        tenant, key_id, name = f"other-{number}", f"other-{number}-1", f"{number:016x}"
        binding = Binding(tenant, "openai", key_id, name)
        revision = StoredRevision(name, await sealer.seal(Secret(secret_of(number)), binding), 1.0)
        stored.append(StoredKey(key_id, tenant, "openai", KeySettings(), (revision,), 1.0, 1.0))
    database = await Database.open(house.database)
    await SqlKeyStore(database).create_all(stored, first_policy)
    await database.close()


def first_policy(key: StoredKey) -> TenantPolicy:
    return TenantPolicy(key.tenant, key.provider, PolicyMode.TENANT_ONLY, set_by="x", set_at=1.0)


async def leased(broker: Broker, tenant: str) -> str:
    """The secret that a tenant is leased; there must be one."""
    answer = await broker.gateway.acquire("openai", MODELS["openai"], tenant=tenant)
    assert answer.HasField("lease"), (tenant, answer.denial)
    return answer.lease.api_key.secret.plaintext


@dataclass
class Everybody:
    """Those who use and change keys meanwhile, with what they know."""

    house: House
    chance: random.Random
    secrets: dict[str, set[str]] = field(default_factory=dict)
    issued: int = 0
    leases: int = 0
    kills: int = 0

    async def lease(self, broker: Broker) -> None:
        """Lease for anybody: what was sealed with the old key and with the new one."""
        while True:
            number = self.chance.randrange(OTHERS)
            assert await leased(broker, f"other-{number}") == secret_of(number)
            tenant = self.chance.choice(TENANTS)
            assert await leased(broker, tenant) in self.secrets[tenant]
            self.leases += 2

    async def change(self, broker: Broker) -> None:
        """Give keys new secrets, in between."""
        while True:
            tenant = self.chance.choice(TENANTS)
            self.issued += 1
            secret = self.house.issue(f"{tenant}-{self.issued}")
            self.secrets[tenant] = {*self.secrets[tenant], secret}
            await broker.rotate(f"{tenant}-1", secret)
            await asyncio.sleep(0.01)

    async def rotate(self, broker: Broker) -> None:
        """Rotate the sealing key, without end."""
        while True:
            async for _ in broker.gateway.admin.RotateSeal(admin_pb2.RotateSealRequest()):
                pass

    async def live_until_killed(self, broker: Broker, for_s: float) -> None:
        """Everybody at work, until the broker is killed; whatever else ends work is a fault."""
        work = (self.lease, self.lease, self.change, self.rotate)
        tasks = [asyncio.create_task(each(broker)) for each in work]
        await asyncio.wait(tasks, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        broken_off = not tasks[-1].done()
        await broker.kill()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(error, grpc.aio.AioRpcError), error
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        self.kills += broken_off


def sealed_by(house: House) -> dict[str, int]:
    query = "SELECT sealed_by, count(*) FROM {} GROUP BY sealed_by"
    tables = ("key_revisions", "last_good")
    counts: dict[str, int] = {}
    for key_id, number in (row for table in tables for row in house.sql(query.format(table))):
        counts[key_id] = counts.get(key_id, 0) + number
    return counts


@pytest.mark.timeout(150)
async def test_a_rotation_killed_anywhere_under_traffic_loses_nothing_and_comes_to_its_end(
    house: House,
) -> None:
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    await house.keep_tenants()
    await fill(house)
    first, halfway = set(sealed_by(house)), 0
    all_of_us = Everybody(house, random.Random(KILLS))
    all_of_us.secrets = {tenant: {f"sk-{MARK}-{tenant}"} for tenant in TENANTS}
    while all_of_us.kills < KILLS or not halfway:
        assert all_of_us.kills < MAX_KILLS, "none came while some rows were sealed anew"
        broker = await house.start()
        await all_of_us.live_until_killed(broker, all_of_us.chance.uniform(0.02, 0.6))
        halfway += len(sealed_by(house)) > 1
    assert all_of_us.leases > KILLS
    broker = await house.start()
    done = await keybroker("seal", "rotate", cwd=house.folder, env=at(broker))
    assert done.code == 0, done.err
    current = (await broker.gateway.admin.GetSeal(admin_pb2.GetSealRequest())).current_key_id
    assert set(sealed_by(house)) == {current}
    assert current not in first
    verified = await keybroker("seal", "verify", cwd=house.folder, env=at(broker))
    assert (verified.code, verified.out[:16]) == (0, "Everything opens")
    for number in all_of_us.chance.sample(range(OTHERS), 300):
        assert await leased(broker, f"other-{number}") == secret_of(number)
    for tenant in TENANTS:
        assert await leased(broker, tenant) in all_of_us.secrets[tenant]
    assert "key_unreadable" not in await broker.kinds()


def at(broker: Broker) -> dict[str, str]:
    return environment(ADDRESS=broker.address)
