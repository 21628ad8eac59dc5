"""What a drain under load once did to callers."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import grpc

from broker.app import build
from broker.config import Settings
from keybroker.v1 import lease_pb2, lease_pb2_grpc
from tests.fakes import FakeKeySource, FakeProber
from tests.unit.services.status_given import a_key

CALLERS = 40


async def test_calls_in_line_were_cancelled_instead_of_refused() -> None:
    """Every caller calls on until it is told to go elsewhere, and is told so in words."""
    settings = Settings(
        database="memory", grpc_listen="127.0.0.1:0", http_listen="", drain_seconds=5.0
    )
    app = await build(settings, sources=[FakeKeySource([a_key("k1")])], prober=FakeProber())
    await app.start()
    told: Counter[grpc.StatusCode] = Counter()
    async with AsyncExitStack() as stack:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc_port}")
        await stack.enter_async_context(channel)
        stub = lease_pb2_grpc.LeaseServiceStub(channel)
        asked = lease_pb2.AcquireLeaseRequest(provider="openai", model="gpt-4o")

        async def call_on() -> None:
            try:
                while True:
                    await stub.AcquireLease(asked)
            except grpc.aio.AioRpcError as error:
                told[error.code()] += 1

        callers = [asyncio.create_task(call_on()) for _ in range(CALLERS)]
        await asyncio.sleep(0.3)
        await app.stop()
        await asyncio.gather(*callers)
    assert told == {grpc.StatusCode.UNAVAILABLE: CALLERS}
