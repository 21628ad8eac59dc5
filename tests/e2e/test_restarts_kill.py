"""kill -9 at any moment of any change: what was acknowledged is there, and nothing is half made."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import grpc

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.core.secret import Secret
from keybroker.v1 import admin_pb2, key_pb2, policy_pb2
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, fault_of, state_of

__all__ = ["house"]

FOR_S = 6.0
MIN_KILLS = 3
TENANTS = ("acme", "bravo", "charlie", "delta")
DEFAULT, ONLY, THEN_SYSTEM = (
    policy_pb2.POLICY_MODE_SYSTEM_ONLY,
    policy_pb2.POLICY_MODE_TENANT_ONLY,
    policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM,
)
GONE = ""


@dataclass
class Client:
    """Changes one tenant's key, one change at a time, and keeps a record.

    Of each thing it knows what it may be: one value when it was told so, two while it waits.
    """

    house: House
    tenant: str
    random: random.Random
    secret: set[str] = field(default_factory=lambda: {GONE})
    mode: set[int] = field(default_factory=lambda: {DEFAULT})
    disabled: set[bool] = field(default_factory=lambda: {False})
    issued: int = 0
    told: int = 0

    @property
    def key_id(self) -> str:
        return f"{self.tenant}-1"

    async def run(self, broker: Broker) -> None:
        """Change until the broker is gone."""
        while True:
            changes = [self.rotate, self.delete, self.set_policy, self.disable, self.enable]
            if self.secret == {GONE}:
                changes = [self.create]
            try:
                await self.random.choice(changes)(broker)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return
            self.told += 1

    def new_secret(self) -> str:
        self.issued += 1
        return self.house.issue(f"{self.tenant}-{self.issued}")

    async def create(self, broker: Broker) -> None:
        secret = self.new_secret()
        before, self.mode = self.mode, self.mode | ({ONLY} if self.mode == {DEFAULT} else set())
        self.secret = {GONE, secret}
        await broker.create(self.tenant, secret, self.key_id)
        self.secret, self.mode = {secret}, {ONLY} if before == {DEFAULT} else before

    async def rotate(self, broker: Broker) -> None:
        secret = self.new_secret()
        self.secret |= {secret}
        await broker.rotate(self.key_id, secret)
        self.secret = {secret}

    async def delete(self, broker: Broker) -> None:
        self.secret |= {GONE}
        self.disabled |= {False}  # the mark goes with the key
        await broker.delete(self.key_id)
        self.secret, self.disabled = {GONE}, {False}

    async def set_policy(self, broker: Broker) -> None:
        mode = self.random.choice((ONLY, THEN_SYSTEM))
        self.mode |= {mode}
        await broker.set_policy(self.tenant, mode)
        self.mode = {mode}

    async def disable(self, broker: Broker) -> None:
        self.disabled |= {True}
        await broker.gateway.admin.DisableKey(admin_pb2.DisableKeyRequest(key_id=self.key_id))
        self.disabled = {True}

    async def enable(self, broker: Broker) -> None:
        self.disabled |= {False}
        await broker.gateway.admin.EnableKey(admin_pb2.EnableKeyRequest(key_id=self.key_id))
        self.disabled = {False}

    async def check(self, broker: Broker, fingerprint_key: bytes) -> None:
        """What is there is what was acknowledged last, or what was being made of it."""
        policy = await broker.policy(self.tenant)
        assert policy.mode in self.mode, (policy, self)
        self.mode = {policy.mode}
        if self.secret == {GONE}:
            fault = await fault_of(broker.key(self.key_id))
            assert fault.reason == "KEY_UNKNOWN"
            return
        try:
            key = await broker.key(self.key_id)
        except grpc.aio.AioRpcError:
            assert GONE in self.secret, self
            self.secret = {GONE}
            return
        named = {Secret(text).fingerprint(fingerprint_key): text for text in self.secret if text}
        assert key.revisions[0].revision in named, self
        self.secret = {named[key.revisions[0].revision]}
        assert policy.set_by
        await self._is_whole(broker, key)

    async def _is_whole(self, broker: Broker, key: key_pb2.Key) -> None:
        """A key that is there is open, and is leased unless it is disabled."""
        is_disabled = state_of(key) == "disabled"
        assert is_disabled in self.disabled, (key, self)
        self.disabled = {is_disabled}
        answer = await broker.gateway.acquire("openai", "gpt-4o", tenant=self.tenant)
        if is_disabled:
            assert answer.lease.key_id != self.key_id
        else:
            assert state_of(key) == "healthy"
            assert answer.lease.key_id == self.key_id, answer


async def report(house: House, broker: Broker) -> None:
    """Calls with system keys that fail now and then: facts, while others make changes."""
    while True:
        try:
            await broker.gateway.use(await broker.lease())
        except (grpc.aio.AioRpcError, AssertionError):
            await asyncio.sleep(0.05)


async def live_and_be_killed(
    house: House, clients: list[Client], broker: Broker, for_s: float
) -> None:
    """Everybody at work, until the broker is killed."""
    reports = asyncio.create_task(report(house, broker))
    changes = [asyncio.create_task(client.run(broker)) for client in clients]
    await asyncio.sleep(for_s)
    await broker.kill()
    await asyncio.gather(*changes)
    reports.cancel()
    await asyncio.gather(reports, return_exceptions=True)


def fingerprint_key(house: House) -> bytes:
    """What names revisions in this house."""
    return KeyFile(house.beside("fingerprint.key"), Purpose.FINGERPRINT).obtain()[0]


async def test_whatever_a_client_was_told_is_there_after_kill_9_at_any_moment(
    house: House,
) -> None:
    chance = random.Random(FOR_S)
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    house.sim.limit_count("system", 20, 0.3)
    clients = [Client(house, tenant, chance) for tenant in TENANTS]
    ends, kills = time.monotonic() + FOR_S, 0
    await house.start_and_kill(chance.uniform(0.5, 1.2))  # perhaps while it makes its database
    while True:
        if chance.random() < 0.2:
            await house.start_and_kill(chance.uniform(0.4, 1.2))
        broker = await house.start(BOOT_PROBE="off")
        for client in clients:
            await client.check(broker, fingerprint_key(house))
        if kills >= MIN_KILLS and time.monotonic() > ends:
            break
        await live_and_be_killed(house, clients, broker, chance.uniform(0.05, 0.8))
        kills += 1
    assert sum(client.told for client in clients) > kills
    assert not (await broker.status()).store.fault
    for (provider,) in house.sql("SELECT DISTINCT provider FROM facts"):
        query = "SELECT position FROM facts WHERE provider = ? ORDER BY position"
        positions = [position for (position,) in house.sql(query, provider)]
        assert positions == list(range(positions[0], positions[0] + len(positions)))
