"""PostgreSQL is gone for a while under load: leases go on, changes fail, nothing is lost."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc
import pytest

from keybroker.v1 import admin_pb2, event_pb2, policy_pb2, status_pb2
from tests.e2e.load import (
    BUSY_S,
    PROMPT_S,
    Ended,
    Group,
    Load,
    all_were_told_soon,
    at_the_latest,
    ever_new,
    in_turn,
    memory_of,
    nobody_failed,
)
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, Fault, fault_of, until
from tests.e2e.shared_house import AT_HAND, SharedHouse, set_up, shared

__all__ = ["house"]

GONE_S = float(os.environ.get("BAD_LUCK_SECONDS", "8"))
"""How long the database is away; 600 is the whole story."""

BACK_S = 2.0

GROWTH = 48 << 20
"""What a broker may take more of memory, however long its database is away."""

UP, DEGRADED = status_pb2.STORE_STATE_UP, status_pb2.STORE_STATE_DEGRADED
TENANT_ONLY = policy_pb2.POLICY_MODE_TENANT_ONLY

SERVED = {
    "own key": Group(in_turn(AT_HAND)),
    "system key": Group(in_turn(["golf", "hotel"])),
    "untenanted": Group(),
}
"""Those who must notice nothing."""

ALL = SERVED | {
    "cold": Group(ever_new("cold"), is_patient=False),
    "failing": Group(provider="groq", status=500),
}

log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(120 + 2 * GONE_S)


def operators_calls(
    world: SharedHouse, broker: Broker
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Whatever an operator may want that the database must know of."""
    admin, key, issue = broker.gateway.admin, "acme-1", world.house.issue
    policy = admin_pb2.GetTenantPolicyRequest(tenant_id="unknown", provider="openai")
    revoke = admin_pb2.RevokeLeasesRequest(tenant_id="acme")
    upstream = admin_pb2.DisableUpstreamRequest(provider="mistral")
    return {
        "create": lambda: broker.create("zulu", issue("zulu"), "zulu-1"),
        "rotate": lambda: broker.rotate(key, issue("acme-never")),
        "delete": lambda: broker.delete(key),
        "set policy": lambda: broker.set_policy("zulu", TENANT_ONLY),
        "get policy": lambda: admin.GetTenantPolicy(policy),
        "disable": lambda: admin.DisableKey(admin_pb2.DisableKeyRequest(key_id=key)),
        "enable": lambda: admin.EnableKey(admin_pb2.EnableKeyRequest(key_id="bravo-1")),
        "disable upstream": lambda: admin.DisableUpstream(upstream),
        "revoke": lambda: admin.RevokeLeases(revoke),
        "list keys": lambda: admin.ListKeys(admin_pb2.ListKeysRequest()),
        "get key": lambda: admin.GetKey(admin_pb2.GetKeyRequest(key_id="unknown-1")),
        "list events": broker.events,
    }


async def timed_fault(call: Callable[[], Awaitable[object]]) -> tuple[Fault, float]:
    began = time.monotonic()
    fault = await fault_of(call())
    return fault, time.monotonic() - began


async def operators_are_told(world: SharedHouse, broker: Broker) -> dict[str, float]:
    """Each call fails soon, and says why; how long each one took."""
    took_s = {}
    for name, call in operators_calls(world, broker).items():
        try:
            fault, took_s[name] = await timed_fault(call)
        except BaseException as error:
            raise AssertionError(name) from error
        assert fault[:2] == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"), (name, fault)
        assert fault.cause.startswith(("the database ", "the fact log ")), (name, fault)
    assert max(took_s.values()) < PROMPT_S + BUSY_S, took_s
    assert at_the_latest(list(took_s.values()), 0.5) < PROMPT_S, took_s
    return took_s


async def it_is_told(broker: Broker) -> None:
    async def is_degraded() -> bool:
        store = (await broker.status()).store
        return store.state == DEGRADED and bool(store.fault)

    await until(is_degraded)
    assert await broker.is_ready()
    store = (await broker.status()).store
    assert (store.kind, store.fault != "") == ("postgresql", True)

    async def decides_alone() -> bool:
        return (await broker.lease()).degraded

    await until(decides_alone)


async def something_happens(house: House, broker: Broker) -> None:
    """A key dies while the database is away."""
    house.sim.revoke("s1")
    while (lease := await broker.lease()).key_id != "openai/1":
        pass
    await broker.gateway.use(lease)
    for _ in range(10):
        assert (await broker.lease()).key_id == "openai/2"


def opened(events: list[event_pb2.Event]) -> Counter[str]:
    """By keys, how often something began: a probe that fails again is no beginning."""
    begun = [event for event in events if event.attributes.get("from") == "closed"]
    return Counter(event.key_id for event in begun if event.kind == "circuit_opened")


async def test_while_the_database_is_gone_leases_go_on_and_all_of_it_is_kept_afterwards(
    house: House,
) -> None:
    async with shared(house) as world:
        broker = await set_up(world)
        async with Load(broker, ALL) as load:
            await asyncio.sleep(2.0)
            nobody_failed(load.lap(), *SERVED, "cold")
            before = memory_of(broker)
            world.proxy.cut()
            ends = time.monotonic() + GONE_S
            await something_happens(house, broker)
            admin_s = await operators_are_told(world, broker)
            await it_is_told(broker)
            memory = [memory_of(broker) - before]
            while time.monotonic() < ends:
                await asyncio.sleep(min(ends - time.monotonic(), GONE_S / 10))
                memory.append(memory_of(broker) - before)
            pending = (await broker.status()).store.pending_facts
            gone = load.lap()
            world.proxy.heal()
            back_s = await all_is_well_again(world, broker)
            await asyncio.sleep(1.0)
            load.lap()
            await asyncio.sleep(2.0)
            nobody_failed(load.lap(), *SERVED, "cold")
        for name, ended in gone.items():
            log.info("%s: %s", name, figures(ended))
        log.info("operators: %s", admin_s)
        log.info("back after %.2f s, %d facts pending, memory %s", back_s, pending, memory)
        nobody_failed(gone, *SERVED)
        all_were_told_soon(gone["cold"])
        assert gone["cold"].served <= 2  # those under way when it began
        assert max(memory) < GROWTH, memory
        await nothing_is_lost_or_twice(world, broker)


def figures(ended: Ended) -> dict[str, object]:
    """What a report says of a group."""
    times = ended.took_s or ended.failed_s
    return {
        "served": ended.served,
        "failed": ended.failed,
        "p50_s": at_the_latest(times, 0.5),
        "p99_s": at_the_latest(times, 0.99),
        "max_s": max(times),
        "causes": dict(ended.causes.most_common(3)),
    }


async def all_is_well_again(world: SharedHouse, broker: Broker) -> float:
    """Leases of the cold, changes and the log; how long it took until all of them worked."""
    began = time.monotonic()

    async def works() -> bool:
        try:
            await broker.lease("other")
            await broker.rotate("other-1", world.house.issue(f"other-{time.monotonic_ns()}"))
            await broker.events()
        except grpc.aio.AioRpcError:
            return False
        store = (await broker.status()).store
        return store.state == UP and not store.fault

    await until(works, BACK_S + BUSY_S)
    return time.monotonic() - began


async def nothing_is_lost_or_twice(world: SharedHouse, broker: Broker) -> None:
    """What happened meanwhile is in the log and in the events, once."""

    async def has_nothing_pending() -> bool:
        return not (await broker.status()).store.pending_facts

    await until(has_nothing_pending)
    facts = await world.facts()
    ids = Counter((provider, fact["fact_id"]) for provider, _, fact in facts)
    assert max(ids.values()) == 1
    for name in {provider for provider, _, _ in facts}:
        positions = [at for provider, at, _ in facts if provider == name]
        assert positions == list(range(positions[0], positions[0] + len(positions)))
    events = await broker.events()
    log.info(
        "X %s", [(e.kind, e.message, dict(e.attributes)) for e in events if e.key_id == "openai/1"]
    )
    assert opened(events)["openai/1"] == 1
    assert max(Counter(event.event_id for event in events).values()) == 1
    kinds = {event.kind for event in events if event.key_id == "acme-1"}
    assert not kinds & {"key_disabled", "key_deleted", "key_rotated"}, kinds
    await broker.kill()
    again = await world.start("again", BOOT_PROBE="off")
    states = await again.states()
    assert (states["openai/1"], states["openai/2"]) == ("quarantined", "healthy")
    assert "zulu-1" not in states
