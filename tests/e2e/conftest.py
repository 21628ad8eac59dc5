"""A whole broker, a whole provider and a gateway between them, all over loopback."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import pytest

from broker.app import App, build
from broker.config import Settings
from broker.config.forms import ProviderSetting
from broker.services.boot import BootPolicy
from keybroker.v1 import admin_pb2, scope_pb2, status_pb2
from simulator import Simulator
from tests.fakes import FakeClock
from tests.gateway import Gateway

MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-large-latest",
    "deepseek": "deepseek-chat",
}


@dataclass
class World:
    """What a story plays in: the keys of its `.env` are those of its simulated providers."""

    sim: Simulator
    app: App
    gateway: Gateway
    env_file: Path
    lines: list[str] = field(default_factory=list)

    async def add_keys(self, provider: str, number: int, **attributes: str) -> list[str]:
        """Give a provider keys that work, and tell the broker."""
        secrets = []
        for _ in range(number):
            place = len(self.lines)
            secret = f"{provider}-secret-{place}"
            name = f"{provider.upper()}_API_KEY_{place}"
            self.sim.add_key(provider, secret)
            self.lines.append(f"{name}={secret}")
            self.lines += [f"{name}__{attr}={value}" for attr, value in attributes.items()]
            secrets.append(secret)
        await self.write_env()
        return secrets

    async def write_env(self) -> None:
        """Write the `.env` as it now is, and have it read."""
        self.env_file.write_text("\n".join(self.lines) + "\n")
        answer = await self.gateway.admin.RefreshKeys(admin_pb2.RefreshKeysRequest())
        assert not [fault for source in answer.sources for fault in source.faults]

    async def status(self) -> status_pb2.BrokerStatus:
        """The broker's status."""
        answer = await self.gateway.status.GetStatus(status_pb2.GetStatusRequest())
        return answer.status

    @staticmethod
    def key_scope(provider: str, key_id: str, revision: str) -> scope_pb2.Scope:
        """The scope of one revision of a key."""
        kind = scope_pb2.SCOPE_KIND_KEY
        return scope_pb2.Scope(kind=kind, provider=provider, key_id=key_id, revision=revision)


@dataclass
class TimedWorld(World):
    """A world whose time stands still until the story moves it."""

    clock: FakeClock = field(default_factory=FakeClock)


async def open_world(stack: AsyncExitStack, path: Path, clock: FakeClock | None = None) -> World:
    """Start everything; the stack stops it."""
    simulator = Simulator.start(clock=clock.now) if clock else Simulator.start()
    sim = await stack.enter_async_context(simulator)
    env_file = path / ".env"
    env_file.write_text("")
    providers = {name: ProviderSetting(base_url=sim.base_url(name)) for name in MODELS}
    settings = Settings(
        database="memory",
        grpc_listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        env_file=env_file,
        providers=providers,
        boot_probe=BootPolicy.OFF,
        drain_seconds=0.0,
    )
    app = await build(settings, environ={}, clock=clock)
    await app.start()
    stack.push_async_callback(app.stop)
    gateway = await open_gateway(stack, app)
    if clock is None:
        return World(sim, app, gateway, env_file)
    return TimedWorld(sim, app, gateway, env_file, clock=clock)


async def open_gateway(stack: AsyncExitStack, app: App, token: str = "") -> Gateway:
    """A gateway at the broker's door."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc_port}")
    await stack.enter_async_context(channel)
    limits = httpx.Limits(max_connections=None)
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=10.0, limits=limits))
    return Gateway(channel, http, token)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world that runs in real time."""
    async with AsyncExitStack() as stack:
        yield await open_world(stack, tmp_path)


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[TimedWorld]:
    """A world in simulated time."""
    async with AsyncExitStack() as stack:
        world = await open_world(stack, tmp_path, FakeClock())
        assert isinstance(world, TimedWorld)
        yield world
