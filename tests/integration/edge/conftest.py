"""A broker on loopback with the keys and settings that a test asks for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from broker.app import App, build
from broker.config import Settings
from broker.core.key import Key, KeyLimits
from broker.core.secret import Secret
from broker.core.words import Provenance
from keybroker.v1 import lease_pb2
from tests.fakes import FakeKeySource, FakeProber

ASK = lease_pb2.AcquireLeaseRequest(provider="openai", model="gpt-4o")

OpenApp = Callable[..., Awaitable[App]]


def a_key(key_id: str = "openai/1", concurrency: int = 0) -> Key:
    """A key of openai."""
    secret = Secret(f"sk-secret-of-{key_id}")
    limits = KeyLimits(concurrency=concurrency)
    return Key(key_id, "r1", "openai", secret, Provenance.SYSTEM, limits=limits)


def some_settings(**given: object) -> Settings:
    """Settings for a test: any free ports, no probes."""
    quiet = {
        "database": "memory",
        "grpc_listen": "127.0.0.1:0",
        "http_listen": "127.0.0.1:0",
        "boot_probe": "off",
        "replica": "replica-1",
    }
    return Settings.model_validate({**quiet, **given})


def info_of(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """The ErrorInfo of a fault."""
    (details,) = (v for name, v in error.trailing_metadata() if name == "grpc-status-details-bin")
    assert isinstance(details, bytes)
    info = ErrorInfo()
    assert Status.FromString(details).details[0].Unpack(info)
    assert info.domain == "keybroker"
    return info


async def health_of(channel: grpc.aio.Channel, service: str) -> int:
    """The serving status of a named service."""
    check: grpc.aio.UnaryUnaryMultiCallable[HealthCheckRequest, HealthCheckResponse]
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    answer = await check(HealthCheckRequest(service=service))
    return answer.status


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens is closed in the end, the last first."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def open_app(stack: AsyncExitStack) -> OpenApp:
    """Start an app with one key, or those given."""

    async def start(*keys: Key, **given: object) -> App:
        source = FakeKeySource(keys or (a_key(),))
        app = await build(some_settings(**given), environ={}, sources=[source], prober=FakeProber())
        await app.start()
        stack.push_async_callback(app.stop)
        return app

    return start


@pytest.fixture
async def connect(stack: AsyncExitStack) -> Callable[[int], Awaitable[grpc.aio.Channel]]:
    """Open a channel to a port on loopback."""

    async def open_channel(port: int) -> grpc.aio.Channel:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        return await stack.enter_async_context(channel)

    return open_channel
