"""Secrets Manager throttles, fails, hangs, refuses or lies to brokers that run or start."""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from statistics import median

import pytest

from keybroker.v1 import denial_pb2, status_pb2
from tests.aws import REGION, Vault, aws_url, new_prefix
from tests.e2e.load import Group, Load
from tests.e2e.processes import MARK, House, copied, house
from tests.e2e.running import Broker, until
from tests.integration.aws.proxy import FaultProxy, Mishap, Refused, fault_proxy

__all__ = ["house"]

POLL_S = 1.0
"""How often the source is read where nothing hurries it."""

SELDOM_S = 3600.0
"""So that nothing but what hurries a reading explains that there was one."""

MENDED_S = 2.0
BUSY_S = 1.0
"""What a busy machine may add."""

READ_S = 5.0
"""How long one call to AWS is waited for, before it is made once more."""

EACH: Mapping[Mishap | Refused, str] = {
    Refused("ThrottlingException"): "AWS throttles the calls",
    Refused("InternalServiceError", 500, MARK): "AWS failed",
    Refused("AccessDeniedException", 400, MARK): "grant secretsmanager:GetSecretValue",
    Mishap.NO_JSON: "AWS gave an answer that cannot be read",
    Mishap.SLOW: "AWS did not answer in time",
}
"""What may go wrong, and what is told of it."""

ONE = {"all": Group()}
NO_KEYS = denial_pb2.DENIAL_REASON_NO_KEYS
QUARANTINED = denial_pb2.DENIAL_REASON_QUARANTINED

log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(120)  # AWS is waited for


@dataclass
class Cloud:
    """A secret with a key of openai, behind a proxy that fails as it is told."""

    house: House
    proxy: FaultProxy
    vault: Vault
    name: str
    issued: int = 0

    async def put(self) -> str:
        """Give the secret a value that the provider accepts."""
        self.issued += 1
        secret = self.house.issue(f"{self.name}-{self.issued}")
        await asyncio.to_thread(self.vault.put, self.name, secret)
        return secret

    def starting(self, **settings: str) -> asyncio.Task[Broker]:
        """A broker that starts on the secret."""
        given = {"SECRETS_MANAGER": self.name, "SOURCE_POLL_SECONDS": str(POLL_S)}
        self.house.env = {
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "made-up",
        }
        env = dict(self.house.env)
        return asyncio.create_task(self._start(env, given | settings))

    async def _start(self, env: dict[str, str], settings: dict[str, str]) -> Broker:
        self.house.env = env
        return await self.house.start(**settings)


@asynccontextmanager
async def a_cloud(house: House) -> AsyncIterator[Cloud]:
    vault = Vault()
    async with fault_proxy(aws_url()) as proxy:
        cloud = Cloud(house, proxy, vault, f"{new_prefix()}openai")
        await cloud.put()
        yield cloud
    vault.close()


async def source_of(broker: Broker) -> status_pb2.SourceStatus:
    [source] = [s for s in (await broker.status()).sources if s.source == "secrets-manager"]
    return source


async def is_told(broker: Broker, why: str, within_s: float) -> None:
    """In the status and as an event."""

    async def is_in_status() -> bool:
        return any(why in fault for fault in (await source_of(broker)).faults)

    await until(is_in_status, within_s)
    events = [event for event in await broker.events() if event.kind == "source_faulty"]
    assert any(why in event.message for event in events)


async def is_well(broker: Broker) -> bool:
    source = await source_of(broker)
    return not source.faults and not source.from_copy and source.key_count == 1


async def test_whatever_secrets_manager_does_to_a_running_broker_leases_go_on(
    house: House,
) -> None:
    """It is told, and forgotten within the poll when it is mended."""
    async with a_cloud(house) as fast, a_cloud(house) as slow:
        brokers = await asyncio.gather(
            fast.starting(DATABASE="sqlite:///fast/k.db"),
            slow.starting(DATABASE="sqlite:///slow/k.db"),
        )
        async with Load(brokers[0], ONE, rate=50) as load, Load(brokers[1], ONE, rate=50) as other:
            await asyncio.gather(all_go_wrong(fast, brokers[0]), hangs(slow, brokers[1]))
            for ended in (load.lap()["all"], other.lap()["all"]):
                assert ended.failed == 0, ended.causes
                assert ended.served > 100
                assert max(ended.took_s) < 1.0 + BUSY_S


async def all_go_wrong(cloud: Cloud, broker: Broker) -> None:
    """One after the other, and what an operator may do to the secret."""
    for mishap, why in EACH.items():
        if mishap is not Mishap.SLOW:
            cloud.proxy.mishaps["*"] = mishap
            await is_told(broker, why, 2 * POLL_S + BUSY_S)
            cloud.proxy.mishaps.clear()
            await until(lambda: is_well(broker), 1.1 * POLL_S + MENDED_S + BUSY_S)
    cloud.vault.mark_for_deletion(cloud.name)
    await is_told(broker, "is marked for deletion", 2 * POLL_S + BUSY_S)
    cloud.vault.restore(cloud.name)
    await until(lambda: is_well(broker), 1.1 * POLL_S + MENDED_S + BUSY_S)
    cloud.vault.put(cloud.name, f'{{"secret": "sk-{MARK}')
    await is_told(broker, "is not JSON", 2 * POLL_S + BUSY_S)
    secret = await cloud.put()
    await until(lambda: is_well(broker), 1.1 * POLL_S + MENDED_S + BUSY_S)
    await until(lambda: leases(broker, secret), MENDED_S + BUSY_S)
    kinds = await broker.kinds()
    assert kinds.count("source_mended") == len(EACH) + 1
    assert "circuit_opened" not in kinds


async def hangs(cloud: Cloud, broker: Broker) -> None:
    cloud.proxy.mishaps["*"] = Mishap.SLOW
    await is_told(broker, EACH[Mishap.SLOW], 2 * READ_S + 1.1 * POLL_S + MENDED_S + BUSY_S)
    cloud.proxy.mishaps.clear()
    await until(lambda: is_well(broker), READ_S + 1.1 * POLL_S + MENDED_S + BUSY_S)


async def leases(broker: Broker, secret: str) -> bool:
    answer = await broker.gateway.acquire("openai", "gpt-4o")
    return answer.lease.api_key.secret.plaintext == secret


async def test_a_start_while_secrets_manager_fails_serves_from_the_sealed_copy_and_says_so(
    house: House,
) -> None:
    """Without a copy it is up all the same, and says why it has no keys."""
    async with a_cloud(house) as cloud, AsyncExitStack() as proxies:
        await a_copy_is_made(cloud)
        bare = copied(house.database, "bare")
        shutil.rmtree(bare.parent / "copies")
        databases = [copied(house.database, f"copy-{number}") for number in range(len(EACH))]
        cloud.proxy.mishaps["*"] = Refused("ThrottlingException")
        alone = await cloud.starting(DATABASE=f"sqlite:///{bare}")
        clouds, brokers = list[Cloud](), list[Broker]()
        for mishap, database in zip(EACH, databases, strict=True):
            proxy = await proxies.enter_async_context(fault_proxy(aws_url()))
            proxy.mishaps["*"] = mishap
            clouds.append(replace(cloud, proxy=proxy))
            brokers.append(await clouds[-1].starting(DATABASE=f"sqlite:///{database}"))
        assert (await alone.denied()).reason == NO_KEYS
        assert await alone.is_ready()
        await is_told(alone, "AWS throttles the calls", BUSY_S)
        for broker, (mishap, why) in zip(brokers, EACH.items(), strict=True):
            is_slow = mishap is Mishap.SLOW
            await serves_from_the_copy(broker, "has not answered for 5 s" if is_slow else why)
        secret = await cloud.put()
        for each in (cloud, *clouds):
            each.proxy.mishaps.clear()
        mended = [takes_the_new_one(broker, secret) for broker in (alone, *brokers)]
        log.info("mended after a start without it: %s s", await asyncio.gather(*mended))


async def takes_the_new_one(broker: Broker, secret: str) -> float:
    """How long it takes; one that hangs is asked again when it was waited for."""
    began, patience_s = time.monotonic(), READ_S + 1.1 * POLL_S + MENDED_S + BUSY_S
    await until(lambda: is_well(broker), patience_s)
    await until(lambda: leases(broker, secret), MENDED_S + BUSY_S)
    assert "source_mended" in await broker.kinds()
    return time.monotonic() - began


async def a_copy_is_made(cloud: Cloud) -> None:
    """By a broker that has read the secret, and has ended."""
    broker = await cloud.starting()
    assert (await broker.lease()).key_id == "openai/default"
    await broker.stop()
    assert any(cloud.house.beside("copies").iterdir())


async def serves_from_the_copy(broker: Broker, why: str) -> None:
    source = await source_of(broker)
    assert source.from_copy, why
    assert source.HasField("expire_time")
    assert (await broker.lease()).key_id == "openai/default"
    assert "source_from_copy" in await broker.kinds()
    await is_told(broker, why, BUSY_S)


async def test_while_a_key_is_quarantined_a_new_secret_serves_2_s_after_the_source_is_mended(
    house: House,
) -> None:
    """Whatever was wrong with the source meanwhile, and however seldom it is read else."""
    async with a_cloud(house) as cloud:
        broker = await cloud.starting(SOURCE_POLL_SECONDS=str(SELDOM_S))
        await broker.says("boot_probe_done")
        took_s = dict[str, float]()
        for mishap, why in EACH.items():
            if mishap is Mishap.SLOW:
                continue
            house.sim.revoke(f"{cloud.name}-{cloud.issued}")
            cloud.proxy.mishaps["*"] = mishap
            await broker.gateway.use(await broker.lease())
            assert (await broker.denied()).reason == QUARANTINED
            await is_told(broker, why, MENDED_S + BUSY_S)
            secret = await cloud.put()
            cloud.proxy.mishaps.clear()
            took_s[why] = await serves_soon(broker, secret, MENDED_S + BUSY_S)
        log.info("recovered: %s", took_s)
        assert median(took_s.values()) < MENDED_S


async def serves_soon(broker: Broker, secret: str, within_s: float) -> float:
    return await until(lambda: leases(broker, secret), within_s, every_s=0.02)
