"""Secrets that are pushed, bogus or good, into files that a broker watches, and restarts on."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from grpc_health.v1.health_pb2 import HealthCheckResponse

from keybroker.v1 import denial_pb2, key_pb2
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, Traffic, until
from tests.integration.edge.conftest import health_of

__all__ = ["house"]

MENDED_S = 2.0
"""How soon after a file was mended its keys are leased."""


def as_env(house: House, secrets: Sequence[str]) -> None:
    numbered = enumerate(secrets, start=1)
    house.write_env(**{f"OPENAI_API_KEY_{number}": secret for number, secret in numbered})


def as_toml(house: House, secrets: Sequence[str]) -> None:
    numbered = enumerate(secrets, start=1)
    tables = [f'[[openai]]\nname = "{number}"\nsecret = "{text}"\n' for number, text in numbered]
    house.keys_file.write_text("\n".join(tables))


async def leases_soon(broker: Broker, since: float, secrets: set[str]) -> None:
    """Each of these secrets is leased, soon after the file was mended."""
    found: set[str] = set()
    while not found >= secrets:
        answer = await broker.gateway.acquire("openai", "gpt-4o")
        found.add(answer.lease.api_key.secret.plaintext)
        assert time.monotonic() - since < MENDED_S
        await asyncio.sleep(0.005)
    assert found - {""} == secrets


async def test_six_expired_keys_are_leasable_two_seconds_after_the_file_is_mended(
    house: House,
) -> None:
    """Be it a `.env` or a TOML file: six in each, and a broker at each."""
    expired = [house.issue(f"expired-{number}") for number in range(6)]
    good = [house.issue(f"good-{number}") for number in range(6)]
    for number in range(6):
        house.sim.revoke(f"expired-{number}")
    as_env(house, expired)
    as_toml(house, expired)
    of_env, of_toml = await asyncio.gather(
        house.start(),
        house.start(DATABASE="memory", ENV_FILE="/dev/null", KEYS_FILE="keys.toml"),
    )
    await asyncio.gather(
        is_in_trouble_and_mended(of_env, partial(as_env, house, good), set(good)),
        is_in_trouble_and_mended(of_toml, partial(as_toml, house, good), set(good)),
    )


async def is_in_trouble_and_mended(
    broker: Broker, mend: Callable[[], None], good: set[str]
) -> None:
    await broker.says("emergency_began")
    denial = await broker.denied()
    assert denial.reason == denial_pb2.DENIAL_REASON_QUARANTINED
    assert denial.action == denial_pb2.DENIAL_ACTION_FIX_KEYS
    mend()
    await leases_soon(broker, time.monotonic(), good)
    assert list((await broker.states()).values()) == ["healthy"] * 6


async def test_a_bogus_secret_over_a_working_one_costs_no_call(house: House) -> None:
    """Not while the broker runs, not when it is killed on it, not when it is stopped on it."""
    good, bogus = house.issue("good"), f"{house.issue('x')}-bogus"
    house.write_env(OPENAI_API_KEY=good)
    broker = await house.start()
    traffic = Traffic(broker)
    await broker.says("boot_probe_done")
    house.write_env(OPENAI_API_KEY=bogus)
    await broker.says("revision_rejected")
    await asyncio.sleep(0.2)
    await traffic.end()
    assert traffic.secrets == {good}
    await tells_of_rejected(broker)
    await broker.kill()
    again = await house.start()
    assert await served_with(again) == {good}
    [restored] = again.said("revision_restored")
    assert "was rejected in the last run" in restored["detail"]
    assert "which worked then, serves: mend it in environment" in restored["detail"]
    await tells_of_rejected(again)
    await again.stop()
    await a_good_one_is_adopted(house, good)


async def served_with(broker: Broker) -> set[str]:
    """The secrets that calls were made with from a start on until its probes are done."""
    traffic = Traffic(broker)
    await broker.says("boot_probe_done")
    await asyncio.sleep(0.3)
    await traffic.end()
    return traffic.secrets


async def tells_of_rejected(broker: Broker) -> None:
    """To operators: which key, that the older secret serves on, and what to do."""
    key = await broker.key("openai/default")
    stages = [revision.stage for revision in key.revisions]
    assert stages == [key_pb2.REVISION_STAGE_REJECTED, key_pb2.REVISION_STAGE_IN_USE]
    [event] = [event for event in await broker.events() if event.kind == "revision_rejected"]
    assert event.key_id == "openai/default"
    assert "the provider rejects the new secret" in event.message
    assert "stays in use: mend it in environment" in event.message


async def is_kept(house: House, revision: str) -> bool:
    """Is that what a restart would serve from?"""
    return house.sql("SELECT revision FROM last_good") == [(revision,)]


async def a_good_one_is_adopted(house: House, good: str) -> None:
    """On a broker that was started on a bogus one; it is what the next start falls back on."""
    broker = await house.start()
    assert await served_with(broker) == {good}
    better = house.issue("better")
    traffic = Traffic(broker)
    house.write_env(OPENAI_API_KEY=better)
    await broker.says("revision_adopted")
    await asyncio.sleep(0.1)
    await traffic.end()
    assert traffic.secrets == {good, better}
    lease = await broker.lease()
    assert lease.api_key.secret.plaintext == better
    [event] = [event for event in await broker.events() if event.kind == "revision_adopted"]
    assert " s after it was noticed" in event.message
    await until(lambda: is_kept(house, lease.revision), within_s=0.5)
    await broker.kill()
    house.write_env(OPENAI_API_KEY=f"{better}-bogus-again")
    again = await house.start()
    assert await served_with(again) == {better}
    assert len(again.said("revision_rejected")) == 1


async def readiness(broker: Broker) -> tuple[bool, int, list[str]]:
    """What load balancers are told over gRPC and HTTP, and operators by GetStatus."""
    service = "keybroker.v1.LeaseService"
    is_serving = await health_of(broker.gateway.channel, service) == HealthCheckResponse.SERVING
    ready = await broker.gateway.http.get(f"{broker.http_url}/readyz")
    return is_serving, ready.status_code, list((await broker.status()).not_ready)


async def test_readiness_that_waits_for_keys_comes_with_the_mended_file(house: House) -> None:
    """Two brokers side by side, one a policy: told why they are not ready, and no restart."""
    good, dead, other = house.issue("good"), house.issue("dead"), house.issue("other")
    house.sim.revoke("dead")
    house.write_env(OPENAI_API_KEY_1=dead)
    as_toml(house, [good, dead])
    settings = {"HTTP_LISTEN": "127.0.0.1:0", "DATABASE": "memory"}
    toml = {"KEYS_FILE": "keys.toml", "ENV_FILE": "/dev/null", "REQUIRED_PROVIDERS": "openai"}
    any_of, all_of = await asyncio.gather(
        house.start(BOOT_PROBE="require-any", **settings),
        house.start(BOOT_PROBE="require-all", **settings, **toml),
    )
    for broker in (any_of, all_of):
        await broker.says("boot_blocked")
    told = await readiness(any_of)
    assert told == (False, 503, ["openai: no key is accepted, 1 rejected: replace one of them"])
    told = await readiness(all_of)
    assert told == (False, 503, ["openai: 1 of 2 rejected: replace or remove them"])
    denial = await any_of.denied()
    assert denial.reason == denial_pb2.DENIAL_REASON_QUARANTINED
    assert (await all_of.lease()).api_key.secret.plaintext == good
    house.write_env(OPENAI_API_KEY_1=dead, OPENAI_API_KEY_2=good)
    as_toml(house, [good, other])
    for broker in (any_of, all_of):
        await broker.says("boot_ready")
        await until(partial(is_ready, broker))


async def is_ready(broker: Broker) -> bool:
    return await readiness(broker) == (True, 200, [])
