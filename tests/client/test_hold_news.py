"""A held lease goes by the news that the broker pushes."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from keybroker import AsyncClient, Client
from keybroker.v1 import lease_pb2
from tests.client.fake_broker import (
    FakeBroker,
    a_lease,
    until,
)
from tests.client.holds import (
    SYNCED,
    Opening,
    death,
    ok,
    recovery,
)


async def test_a_death_drops_the_lease_and_the_next_request_gets_another(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.news.put(SYNCED)
    async with opening() as hold:
        assert await hold.use(ok) == "kb1.lease-1"
        broker.news.put(death(key_id="openai/1"))
        await until(lambda: broker.requests("ReleaseLease"))
        assert await hold.use(ok) == "kb1.lease-2"


@pytest.mark.parametrize(
    "fields",
    [
        {"key_id": "openai/2"},
        {"provider": "gemini"},
        {"key_id": "openai/1", "revision": "r0"},
        {"provider": "openai", "model": "gpt-4o-mini"},
        {"tenant_id": "other"},
    ],
)
async def test_another_ones_death_leaves_the_lease_alone(
    opening: Opening, broker: FakeBroker, fields: dict[str, str]
) -> None:
    broker.news.put(SYNCED)
    async with opening(tenant="acme") as hold:
        await hold.use(ok)
        broker.news.put(death(**fields))
        broker.news.put(death("REVOKED", granted_before=a_lease(life_s=-9).expire_time))
        await until(broker.news.empty)
        await asyncio.sleep(0.05)
        assert await hold.use(ok) == "kb1.lease-1"


@pytest.mark.parametrize(
    "news",
    [
        death("UPSTREAM_OPEN", provider="openai", model="gpt-4o"),
        death("DISABLED", provider="openai", key_id="openai/1"),
        death("REVOKED", granted_before=a_lease(life_s=900).expire_time),
        death("REVOKED", tenant_id="acme"),
        death("REMOVED", provider="openai", key_id="openai/1", revision="r1"),
    ],
    ids=["upstream", "key", "principal", "tenant", "revision"],
)
async def test_every_kind_of_death_counts(
    opening: Opening, broker: FakeBroker, news: lease_pb2.WatchKeysResponse
) -> None:
    broker.news.put(SYNCED)
    async with opening(tenant="acme") as hold:
        await hold.use(ok)
        broker.news.put(news)
        await until(lambda: broker.requests("ReleaseLease"))
        assert await hold.use(ok) == "kb1.lease-2"


async def test_a_request_under_way_keeps_the_lease_that_was_dropped(broker: FakeBroker) -> None:
    """Its slot is given back only when it is done."""
    broker.news.put(SYNCED)
    async with (
        AsyncClient(broker.address) as client,
        client.hold("openai", "gpt-4o", concurrency=2) as hold,
    ):
        async with hold.lease() as old:
            broker.news.put(death(key_id="openai/1"))
            await until(broker.news.empty)
            await asyncio.sleep(0.1)
            async with hold.lease() as new:
                assert new is not old
            assert broker.grants == 2
            assert not broker.requests("ReleaseLease")
            await old.report(status=200)
        await until(lambda: broker.requests("ReleaseLease"))
        assert broker.requests("ReleaseLease")[0].lease_id == "kb1.lease-1"


async def test_a_death_that_was_told_before_the_grant_is_not_held_against_it(
    opening: Opening, broker: FakeBroker
) -> None:
    """The broker knew it: a key that was removed and is back, or the trial of a half-open one."""
    broker.news.put(SYNCED)
    async with opening() as hold:
        await hold.use(ok)
        broker.news.put(death("REMOVED", key_id="openai/1"))
        await until(lambda: broker.requests("ReleaseLease"))
        ids = {await hold.use(ok) for _ in range(3)}
    assert ids == {"kb1.lease-2"}


async def test_a_lease_whose_death_is_told_while_it_is_on_its_way_is_not_used(
    opening: Opening, broker: FakeBroker
) -> None:
    def dies_on_its_way(_request: Any, _context: Any) -> lease_pb2.AcquireLeaseResponse:
        broker.news.put(death(key_id="openai/7"))
        while not broker.news.empty():
            time.sleep(0.01)
        time.sleep(0.05)  # until the client has heard it
        return lease_pb2.AcquireLeaseResponse(lease=a_lease("openai/7"))

    broker.news.put(SYNCED)
    async with opening() as hold:
        await hold.use(ok)
        broker.news.put(death(key_id="openai/1"))
        await until(lambda: broker.requests("ReleaseLease"))
        broker.script("AcquireLease", dies_on_its_way)
        assert await hold.use(ok) == "kb1.lease-2"
        released = {request.lease_id for request in broker.requests("ReleaseLease")}
        assert "kb1.openai/7" in released


@pytest.mark.parametrize("end", [SYNCED, recovery(key_id="openai/7")], ids=["synced", "recovery"])
async def test_a_death_that_is_over_before_the_lease_arrives_is_forgotten(
    opening: Opening, broker: FakeBroker, end: lease_pb2.WatchKeysResponse
) -> None:
    def dies_and_recovers(_request: Any, _context: Any) -> lease_pb2.AcquireLeaseResponse:
        broker.news.put(death(key_id="openai/7"))
        broker.news.put(end)
        while not broker.news.empty():
            time.sleep(0.01)
        time.sleep(0.05)  # until the client has heard it
        return lease_pb2.AcquireLeaseResponse(lease=a_lease("openai/7"))

    broker.news.put(SYNCED)
    async with opening() as hold:
        await hold.use(ok)
        broker.news.put(death(key_id="openai/1"))
        await until(lambda: broker.requests("ReleaseLease"))
        broker.script("AcquireLease", dies_and_recovers)
        assert await hold.use(ok) == "kb1.openai/7"


async def test_a_stream_that_is_cut_is_begun_again_and_tells_what_stands(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.news.put(SYNCED)
    async with opening() as hold:
        await hold.use(ok)
        broker.news.put(None)
        await until(lambda: len(broker.requests("WatchKeys")) == 2)
        broker.news.put(SYNCED)
        broker.news.put(death("DISABLED", key_id="openai/1"))
        await until(lambda: broker.requests("ReleaseLease"))
        assert await hold.use(ok) == "kb1.lease-2"


async def test_news_of_a_kind_that_is_not_known_are_skipped(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.news.put(SYNCED)
    async with opening() as hold:
        await hold.use(ok)
        broker.news.put(lease_pb2.WatchKeysResponse())
        broker.news.put(death(key_id="openai/1"))
        await until(lambda: broker.requests("ReleaseLease"))


async def test_one_stream_serves_all_holds_and_ends_with_the_client(broker: FakeBroker) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncClient(broker.address))
        for _ in range(3):
            hold = await stack.enter_async_context(client.hold("openai", "gpt-4o"))
            async with hold.lease() as lease:
                await lease.report(status=200)
        await until(lambda: broker.watchers)
        assert len(broker.requests("WatchKeys")) == 1
    await until(lambda: not broker.watchers)


def test_the_threads_of_a_client_end_with_it(broker: FakeBroker) -> None:
    with Client(broker.address) as client:
        with client.hold("openai", "gpt-4o") as hold, hold.lease() as lease:
            lease.report(status=200)
        watch = client._watch  # noqa: SLF001 - it is a daemon: nobody else would notice
        assert watch is not None
    assert not watch.is_alive()
