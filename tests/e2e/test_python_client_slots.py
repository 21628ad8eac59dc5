"""Whatever its callers do, the Python client leaves no slot taken and holds no dead key."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keybroker import (
    AsyncClient,
    Client,
    DenialReason,
    Denied,
)
from keybroker.v1 import admin_pb2, lease_pb2
from simulator import Refusal, RouteKind
from tests.e2e.cancelling import cancelled_at
from tests.e2e.conftest import MODELS, World
from tests.e2e.python_client import address, asking, heal

GPT = MODELS["openai"]
MAX_AWAITS = 60


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncClient]:
    """The async client."""
    async with AsyncClient(address(world)) as client:
        yield client


async def slot_is_free(client: AsyncClient) -> bool:
    """Can the only slot of the only key be had?"""
    try:
        async with client.lease("openai", GPT, wait=1.5):
            return True
    except Denied:
        return False


async def test_a_lease_that_is_cancelled_anywhere_gives_its_slot_back(
    world: World, client: AsyncClient
) -> None:
    await world.add_keys("openai", 1, CONCURRENCY="1")
    ask = asking(world)

    async def block() -> None:
        async with client.lease("openai", GPT) as lease:
            await lease.report(await ask(lease))

    await block()
    for number in range(1, MAX_AWAITS):
        was_cancelled = await cancelled_at(block(), number)
        assert await slot_is_free(client), f"cancelled at await {number}"
        if not was_cancelled:
            break
    else:
        pytest.fail("the block has more awaits than the test tries")
    assert number > 5


async def test_a_call_that_is_cancelled_anywhere_gives_its_slots_back(
    world: World, client: AsyncClient
) -> None:
    """Also in the middle of a report that brings the next key."""
    await world.add_keys("openai", 2, CONCURRENCY="1")
    for number in range(1, MAX_AWAITS):
        await heal(world)
        world.sim.fault(Refusal.RATE_LIMITED, only=RouteKind.GENERATE, times=1)
        was_cancelled = await cancelled_at(client.call(asking(world), "openai", GPT), number)
        await heal(world)
        await both_slots_are_free(world, f"cancelled at await {number}")
        if not was_cancelled:
            break
    else:
        pytest.fail("the call has more awaits than the test tries")
    assert number > 8


async def both_slots_are_free(world: World, when: str) -> None:
    """Wait until two leases can be had at one time; fails the test when that does not come true."""
    for _ in range(100):
        answers = [await world.gateway.acquire("openai", GPT) for _ in range(2)]
        leases = [answer.lease for answer in answers if answer.HasField("lease")]
        for lease in leases:
            request = lease_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id)
            await world.gateway.leases.ReleaseLease(request)
        if len(leases) == 2:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{when}: a slot is left taken")


async def test_an_exception_in_the_block_gives_the_slot_back(
    world: World, client: AsyncClient
) -> None:
    await world.add_keys("openai", 1, CONCURRENCY="1")

    async def fail(*, uses_key: bool) -> None:
        async with client.lease("openai", GPT) as lease:
            if uses_key:
                lease.headers()
            raise ZeroDivisionError

    for uses_key in (True, False):
        with pytest.raises(ZeroDivisionError):
            await fail(uses_key=uses_key)
        assert await slot_is_free(client)


async def test_a_caller_who_waits_takes_the_slot_that_comes_free(
    world: World, client: AsyncClient
) -> None:
    await world.add_keys("openai", 1, CONCURRENCY="1")

    async def work() -> None:
        async with client.lease("openai", GPT, wait=10.0) as lease:
            await asyncio.sleep(0.02)
            await lease.report(status=200)

    await asyncio.gather(*(work() for _ in range(2)))


async def test_a_held_lease_is_dropped_the_moment_its_key_is_disabled(
    world: World, client: AsyncClient
) -> None:
    """The push of the broker is what tells: nobody reported anything."""
    await world.add_keys("openai", 2)
    ask = asking(world)
    async with client.hold("openai", GPT, concurrency=4) as hold:
        async with hold.lease() as lease:
            first = lease.key_id
            assert (await lease.report(await ask(lease))).ok
        await asyncio.sleep(0.1)
        await world.gateway.admin.DisableKey(admin_pb2.DisableKeyRequest(key_id=first))
        await asyncio.sleep(0.1)
        async with hold.lease() as lease:
            assert lease.key_id != first
            assert (await lease.report(await ask(lease))).ok


async def test_a_held_lease_outlives_its_first_end_and_keeps_its_slots(
    world: World, client: AsyncClient
) -> None:
    """Renewed in time; given back at the end."""
    await world.add_keys("openai", 1, CONCURRENCY="2")
    async with client.hold("openai", GPT, concurrency=2, ttl=0.6) as hold:
        async with hold.lease() as lease:
            await lease.report(status=200)
        await asyncio.sleep(0.9)
        async with hold.lease() as lease:
            assert (await lease.report(status=200)).lease_state == "LIVE"
            with pytest.raises(Denied) as told:
                async with client.lease("openai", GPT):
                    pass
            assert told.value.reason is DenialReason.AT_CAPACITY
    assert await slot_is_free(client)


async def test_a_held_lease_in_threads_is_dropped_when_leases_are_revoked(world: World) -> None:
    await world.add_keys("openai", 1)

    def use(hold: Any) -> str:
        with hold.lease() as lease:
            lease.report(status=200)
            return str(lease.expires_at)

    with Client(address(world)) as client, client.hold("openai", GPT) as hold:
        before = await asyncio.to_thread(use, hold)
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(use, hold) == before
        await world.gateway.admin.RevokeLeases(admin_pb2.RevokeLeasesRequest(principal="local"))
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(use, hold) != before
        await asyncio.to_thread(hold.__exit__, None, None, None)
        await asyncio.to_thread(client.close)
