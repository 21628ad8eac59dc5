"""A fake broker, and the two clients behind one door: what holds for one holds for both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from keybroker import AsyncClient, Client, Outcome, Served
from tests.client.fake_broker import FakeBroker
from tests.client.holds import AsyncHoldDoor, HoldDoor, Opening, SyncHoldDoor, use_nothing


class Door(Protocol):
    """A client, async or not, as tests use it."""

    async def lease(self, body: Callable[[Any], object] = ..., **options: Any) -> object:
        """Run `body(lease)` in a lease block; report what it returns, unless that is None."""

    async def call(self, run: Callable[[Any], object], **options: Any) -> Served[Any]:
        """Call."""


class AsyncDoor:
    """The async client."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def lease(self, body: Callable[[Any], object] = use_nothing, **options: Any) -> object:
        async with self.client.lease("openai", "gpt-4o", **options) as lease:
            value = body(lease)
            return None if value is None else await lease.report(value)

    async def call(self, run: Callable[[Any], object], **options: Any) -> Served[Any]:
        async def asynchronously(lease: Any) -> object:
            await asyncio.sleep(0)
            return run(lease)

        return await self.client.call(asynchronously, "openai", "gpt-4o", **options)


class SyncDoor:
    """The client for threads, in a thread."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def lease(self, body: Callable[[Any], object] = use_nothing, **options: Any) -> object:
        def block() -> object:
            with self.client.lease("openai", "gpt-4o", **options) as lease:
                value = body(lease)
                return None if value is None else lease.report(value)

        return await asyncio.to_thread(block)

    async def call(self, run: Callable[[Any], object], **options: Any) -> Served[Any]:
        return await asyncio.to_thread(lambda: self.client.call(run, "openai", "gpt-4o", **options))


def status(code: int, body: bytes = b"") -> Callable[[Any], Outcome]:
    """A provider call that ends with this status."""

    def run(lease: Any) -> Outcome:
        lease.headers()
        return Outcome(status=code, body=body)

    return run


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    """A fake broker."""
    fake = FakeBroker()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(params=["async", "sync"])
async def door(request: pytest.FixtureRequest, broker: FakeBroker) -> AsyncIterator[Door]:
    """Each client at the fake broker."""
    if request.param == "async":
        async with AsyncClient(broker.address, timeout=1.0) as client:
            yield AsyncDoor(client)
    else:
        with Client(broker.address, timeout=1.0) as sync_client:
            yield SyncDoor(sync_client)


@pytest.fixture
async def client(broker: FakeBroker) -> AsyncIterator[AsyncClient]:
    """The async client at the fake broker."""
    async with AsyncClient(broker.address, timeout=1.0) as client:
        yield client


@pytest.fixture(params=["async", "sync"])
async def opening(request: pytest.FixtureRequest, broker: FakeBroker) -> AsyncIterator[Opening]:
    """Opens holds of each client."""
    if request.param == "async":
        async with AsyncClient(broker.address, timeout=2.0) as client:

            @asynccontextmanager
            async def open_async(**options: Any) -> AsyncIterator[HoldDoor]:
                door = AsyncHoldDoor(client, **options)
                async with door.hold:
                    yield door

            yield open_async
    else:
        with Client(broker.address, timeout=2.0) as sync_client:

            @asynccontextmanager
            async def open_sync(**options: Any) -> AsyncIterator[HoldDoor]:
                door = SyncHoldDoor(sync_client, **options)
                await asyncio.to_thread(door.hold.__enter__)
                try:
                    yield door
                finally:
                    await asyncio.to_thread(door.hold.__exit__, None, None, None)

            yield open_sync
