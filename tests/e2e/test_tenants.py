"""The stories of tenants over a real server, a real file and real HTTP: whose keys serve whom."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from broker.app import App, build
from broker.config import Settings
from broker.config.forms import ProviderSetting
from broker.services.boot import BootPolicy
from keybroker.v1 import (
    admin_pb2,
    denial_pb2,
    key_pb2,
    lease_pb2,
    policy_pb2,
    status_pb2,
    verdict_pb2,
)
from simulator import Simulator
from tests.e2e.conftest import MODELS, open_gateway
from tests.gateway import Gateway

GPT = MODELS["openai"]
OK = verdict_pb2.VERDICT_KIND_OK


@dataclass
class House:
    """A simulated provider, and a broker over one file that can be started again."""

    sim: Simulator
    folder: Path
    app: App = field(init=False)
    gateway: Gateway = field(init=False)
    stack: AsyncExitStack = field(init=False)

    @property
    def database(self) -> Path:
        return self.folder / "keybroker.db"

    async def start(self) -> None:
        """Start the broker, with two system keys."""
        self.stack = AsyncExitStack()
        env_file = self.folder / ".env"
        env_file.write_text("OPENAI_API_KEY=system-0,system-1\n")
        settings = Settings(
            database=f"sqlite:///{self.database}",
            grpc_listen="127.0.0.1:0",
            http_listen="127.0.0.1:0",
            env_file=env_file,
            providers={"openai": ProviderSetting(base_url=self.sim.base_url("openai"))},
            boot_probe=BootPolicy.OFF,
            sentinel_seconds=0.0,
            drain_seconds=0.0,
        )
        self.app = await build(settings, environ={})
        self.stack.push_async_callback(self.app.stop)
        await self.app.start()
        self.gateway = await open_gateway(self.stack, self.app)

    async def restart(self) -> None:
        await self.stack.aclose()
        await self.start()

    async def give(self, tenant: str, secret: str, key_id: str) -> None:
        """Give a tenant a key that works."""
        self.sim.add_key("openai", secret)
        request = admin_pb2.CreateKeyRequest(
            tenant_id=tenant,
            provider="openai",
            key_id=key_id,
            secret=key_pb2.SecretValue(plaintext=secret),
        )
        await self.gateway.admin.CreateKey(request)

    async def allow(self, tenant: str, mode: policy_pb2.PolicyMode.ValueType) -> None:
        request = admin_pb2.SetTenantPolicyRequest(tenant_id=tenant, provider="openai", mode=mode)
        await self.gateway.admin.SetTenantPolicy(request)

    async def acquire(self, tenant: str) -> lease_pb2.AcquireLeaseResponse:
        return await self.gateway.acquire("openai", GPT, tenant=tenant)

    async def call(self, tenant: str) -> tuple[str, verdict_pb2.VerdictKind.ValueType]:
        """The key that a tenant was leased, and how a call with it went."""
        answer = await self.acquire(tenant)
        assert answer.HasField("lease"), answer.denial
        reported = await self.gateway.use(answer.lease)
        return answer.lease.key_id, reported.verdict.kind

    async def probe(self, *key_ids: str) -> None:
        """Find out that keys work again: all system keys where none is named."""
        request = admin_pb2.ProbeKeysRequest(key_ids=key_ids)
        results = set[int]()
        async with asyncio.timeout(5):  # a probe that began earlier may still be under way
            while results != {key_pb2.PROBE_RESULT_AUTHENTICATED}:
                results = {answer.result async for answer in self.gateway.admin.ProbeKeys(request)}

    async def refused(self, tenant: str) -> denial_pb2.DenialReason.ValueType:
        answer = await self.acquire(tenant)
        assert answer.HasField("denial"), answer.lease.key_id
        return answer.denial.reason

    async def key(self, key_id: str) -> key_pb2.Key:
        return (await self.gateway.admin.GetKey(admin_pb2.GetKeyRequest(key_id=key_id))).key

    async def events(self, kind: str) -> list[Any]:
        request = admin_pb2.ListEventsRequest(kinds=[kind])
        return list((await self.gateway.admin.ListEvents(request)).events)

    async def until_told(self, kind: str) -> None:
        async with asyncio.timeout(5):
            while True:
                if await self.events(kind):
                    return
                await asyncio.sleep(0.02)

    async def until_proved(self, key_id: str) -> None:
        """Wait until the newest secret is leased, and known to work."""
        async with asyncio.timeout(5):
            while True:
                newest = (await self.key(key_id)).revisions[0]
                is_proved = newest.HasField("authenticated_time")
                if newest.stage == key_pb2.REVISION_STAGE_IN_USE and is_proved:
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with Simulator.start() as sim:
        house = House(sim, tmp_path)
        for number in range(2):
            sim.add_key("openai", f"system-{number}")
        await house.start()
        try:
            yield house
        finally:
            await house.stack.aclose()


async def test_a_tenant_with_its_own_key_is_untouched_by_the_death_of_all_system_keys(
    house: House,
) -> None:
    """And never gets a system key: not when its own dies, is deleted, nor after a restart."""
    await house.give("acme", "sk-acme", "acme-1")
    for number in range(2):
        house.sim.revoke(f"system-{number}")
    for _ in range(2):
        _, kind = await house.call("other")
        assert kind == verdict_pb2.VERDICT_KIND_INVALID_CREDENTIAL
    assert await house.refused("other") == denial_pb2.DENIAL_REASON_QUARANTINED
    assert await house.call("acme") == ("acme-1", OK)
    for number in range(2):
        house.sim.restore(f"system-{number}")
    await house.probe()
    await house.restart()
    assert await house.call("acme") == ("acme-1", OK)
    house.sim.revoke("sk-acme")
    _, kind = await house.call("acme")
    assert kind == verdict_pb2.VERDICT_KIND_INVALID_CREDENTIAL
    assert await house.refused("acme") == denial_pb2.DENIAL_REASON_QUARANTINED
    await house.gateway.admin.DeleteKey(admin_pb2.DeleteKeyRequest(key_id="acme-1"))
    assert await house.refused("acme") == denial_pb2.DENIAL_REASON_NO_KEYS
    await house.restart()
    assert await house.refused("acme") == denial_pb2.DENIAL_REASON_NO_KEYS
    calls = [call for n in range(2) for call in house.sim.calls_of(f"system-{n}") if call.model]
    assert len(calls) == 2  # those of the other tenant
    await house.allow("acme", policy_pb2.POLICY_MODE_SYSTEM_ONLY)
    answer = await house.acquire("acme")
    assert answer.lease.provenance == key_pb2.PROVENANCE_SYSTEM


async def test_a_tenant_falls_through_to_system_keys_on_quarantine_and_returns(
    house: House,
) -> None:
    """By a policy that says so, and no longer than its own key is dead."""
    await house.give("acme", "sk-acme", "acme-1")
    await house.allow("acme", policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM)
    house.sim.revoke("sk-acme")
    await house.call("acme")
    key_id, kind = await house.call("acme")
    assert (key_id.startswith("openai/"), kind) == (True, OK)
    house.sim.restore("sk-acme")
    await house.probe("acme-1")
    assert await house.call("acme") == ("acme-1", OK)


async def test_rotating_to_a_secret_that_does_not_work_costs_no_call(house: House) -> None:
    """The right one serves before and after; a restart on the wrong one changes nothing."""
    await house.give("acme", "sk-acme", "acme-1")
    assert await house.call("acme") == ("acme-1", OK)
    await house.until_proved("acme-1")
    secret = key_pb2.SecretValue(plaintext="sk-bogus")
    request = admin_pb2.RotateKeyRequest(key_id="acme-1", secret=secret)
    await house.gateway.admin.RotateKey(request)
    for _ in range(20):
        assert await house.call("acme") == ("acme-1", OK)
    await house.until_told("revision_rejected")
    stages = [one.stage for one in (await house.key("acme-1")).revisions]
    assert stages == [key_pb2.REVISION_STAGE_REJECTED, key_pb2.REVISION_STAGE_IN_USE]
    await house.restart()
    for _ in range(20):
        assert await house.call("acme") == ("acme-1", OK)
    house.sim.add_key("openai", "sk-new")
    request.secret.plaintext = "sk-new"
    await house.gateway.admin.RotateKey(request)
    await house.until_proved("acme-1")
    house.sim.revoke("sk-acme")
    assert await house.call("acme") == ("acme-1", OK)
    assert [call for call in house.sim.calls_of("sk-bogus") if call.model] == []


async def test_a_secret_that_was_moved_to_another_tenant_in_the_database_is_refused(
    house: House,
) -> None:
    """It is named, and neither its owner nor anybody else is touched."""
    await house.give("acme", "sk-acme", "acme-1")
    await house.give("evil", "sk-evil", "evil-1")
    await house.stack.aclose()
    with closing(sqlite3.connect(house.database)) as database, database:
        (sealed,) = database.execute(
            "SELECT ciphertext FROM key_revisions WHERE key_id = 'acme-1'"
        ).fetchall()
        changed = database.execute(
            "UPDATE key_revisions SET ciphertext = ?, wrapped_key = (SELECT wrapped_key"
            " FROM key_revisions WHERE key_id = 'acme-1') WHERE key_id = 'evil-1'",
            sealed,
        )
        assert changed.rowcount == 1
    await house.start()
    assert await house.refused("evil") == denial_pb2.DENIAL_REASON_TENANT_KEY_UNUSABLE
    (event,) = await house.events("key_unreadable")
    assert event.key_id == "evil-1"
    assert (await house.key("evil-1")).state == key_pb2.KEY_STATE_UNREADABLE
    assert await house.call("acme") == ("acme-1", OK)
    assert (await house.call("other"))[1] == OK
    acquire = lease_pb2.AcquireLeaseRequest(tenant_id="evil", provider="openai", model=GPT)
    explained = await house.gateway.status.ExplainAcquire(
        status_pb2.ExplainAcquireRequest(acquire=acquire)
    )
    (shown,) = explained.upstreams[0].keys
    assert (shown.key_id, shown.answers[0].admits) == ("evil-1", False)
    assert "cannot be opened" in shown.answers[0].detail
    secret = key_pb2.SecretValue(plaintext="sk-evil")
    await house.gateway.admin.RotateKey(admin_pb2.RotateKeyRequest(key_id="evil-1", secret=secret))
    assert await house.call("evil") == ("evil-1", OK)


async def test_no_file_of_the_broker_holds_a_tenants_secret(house: House) -> None:
    """Sealed at rest: database, write-ahead log and key files."""
    await house.give("acme", "sk-canary-1c2d3e", "acme-1")
    await house.call("acme")
    await house.stack.aclose()
    files = [path for path in house.folder.rglob("*") if path.is_file()]
    assert house.database in files
    assert not [path.name for path in files if b"sk-canary-1c2d3e" in path.read_bytes()]
    await house.start()
    assert await house.call("acme") == ("acme-1", OK)
