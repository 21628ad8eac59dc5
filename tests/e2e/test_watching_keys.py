"""What the broker watches by itself, over a real server, real files and real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from broker.app import App, build
from broker.config import Settings
from broker.config.forms import ProviderSetting
from keybroker.v1 import admin_pb2, denial_pb2, status_pb2
from simulator import Simulator
from tests.e2e.conftest import MODELS, TimedWorld, open_gateway
from tests.fakes import eventually
from tests.gateway import Gateway

GPT = MODELS["openai"]
SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


class Start:
    """A provider with keys, and brokers that start on its `.env`."""

    def __init__(self, stack: AsyncExitStack, sim: Simulator, env_file: Path) -> None:
        self._stack = stack
        self.sim = sim
        self.env_file = env_file

    def write(self, **keys: str) -> None:
        """Put these keys into the file, in place of the others."""
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in keys.items()))

    async def broker(self, **given: Any) -> tuple[App, Gateway]:
        settings = {
            "database": "memory",
            "grpc_listen": "127.0.0.1:0",
            "http_listen": "127.0.0.1:0",
            "env_file": self.env_file,
            "providers": {"openai": ProviderSetting(base_url=self.sim.base_url("openai"))},
            "drain_seconds": 0.0,
        }
        app = await build(Settings(**{**settings, **given}), environ={})
        await app.start()
        self._stack.push_async_callback(app.stop)
        return app, await open_gateway(self._stack, app)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator.start())
        yield Start(stack, sim, tmp_path / ".env")


async def readiness(app: App, gateway: Gateway) -> tuple[int, int, list[str]]:
    """What load balancers are told over gRPC and HTTP, and operators by GetStatus."""
    check: Any = gateway.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    health = await check(HealthCheckRequest(service="keybroker.v1.LeaseService"))
    async with httpx.AsyncClient() as http:
        ready = await http.get(f"http://127.0.0.1:{app.http_port}/readyz")
    answer = await gateway.status.GetStatus(status_pb2.GetStatusRequest())
    reasons = list(answer.status.not_ready)
    assert ready.text == "".join(f"{reason}\n" for reason in reasons) or not reasons
    return health.status, ready.status_code, reasons


async def test_a_replica_whose_required_key_is_rejected_waits_and_recovers_with_the_file(
    start: Start,
) -> None:
    """It stays up, says why to everybody who asks, answers callers, and needs no restart."""
    start.sim.add_key("openai", "sk-dead")
    start.sim.revoke("sk-dead")
    start.write(OPENAI_API_KEY="sk-dead")
    app, gateway = await start.broker(boot_probe="require-any")
    assert (await readiness(app, gateway))[:2] == (NOT_SERVING, 503)
    await eventually(lambda: "rejected" in "".join(app.not_ready), 3.0)
    *told, (reason,) = await readiness(app, gateway)
    assert told == [NOT_SERVING, 503]
    assert reason == "openai: no key is accepted, 1 rejected: replace one of them"
    denied = (await gateway.acquire("openai", GPT)).denial
    assert denied.reason == denial_pb2.DENIAL_REASON_QUARANTINED
    start.sim.add_key("openai", "sk-alive")
    start.write(OPENAI_API_KEY="sk-alive")
    await eventually(lambda: not app.not_ready, 4.0)
    await asyncio.sleep(0.1)
    assert await readiness(app, gateway) == (SERVING, 200, [])
    await gateway.lease("openai", GPT)


async def test_a_replica_that_only_reports_is_ready_at_once(start: Start) -> None:
    start.sim.add_key("openai", "sk-dead")
    start.sim.revoke("sk-dead")
    start.write(OPENAI_API_KEY="sk-dead")
    app, gateway = await start.broker()
    assert await readiness(app, gateway) == (SERVING, 200, [])


async def test_ready_once_it_does_not_leave_its_callers_without_an_answer(start: Start) -> None:
    start.sim.add_key("openai", "sk-alive")
    start.write(OPENAI_API_KEY="sk-alive")
    app, gateway = await start.broker(boot_probe="require-all")
    await eventually(lambda: not app.not_ready, 3.0)
    start.sim.revoke("sk-alive")
    await gateway.use(await gateway.lease("openai", GPT))
    await asyncio.sleep(1.2)
    assert await readiness(app, gateway) == (SERVING, 200, [])


async def kinds(gateway: Gateway) -> list[str]:
    """The kinds of what was told, oldest first."""
    request = admin_pb2.ListEventsRequest(page_size=1000)
    answer = await gateway.admin.ListEvents(request)
    return [event.kind for event in reversed(answer.events)]


async def test_what_was_told_is_not_told_again_after_a_restart(
    start: Start, tmp_path: Path
) -> None:
    """The history in the database says what is under way and what was reminded of."""
    start.sim.add_key("openai", "sk-dead")
    start.sim.revoke("sk-dead")
    start.write(OPENAI_API_KEY="sk-dead", OPENAI_API_KEY__EXPIRES_AT="2020-01-01T00:00:00Z")
    database = f"sqlite:///{tmp_path}/keybroker.db"
    wanted = {"key_expired", "provider_down", "emergency_began", "incident_opened"}
    for _ in range(2):
        app, gateway = await start.broker(database=database)
        for _ in range(100):
            if wanted <= set(await kinds(gateway)):
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.2)  # the second start has two looks to say it again
        told = await kinds(gateway)
        assert {kind: told.count(kind) for kind in wanted} == dict.fromkeys(wanted, 1)
        await app.stop()


async def test_an_idle_key_that_is_revoked_is_found_before_anybody_uses_it(
    timed: TimedWorld,
) -> None:
    """Free calls only, one a minute; what it finds is an emergency, and its end is told."""
    [secret] = await timed.add_keys("openai", 1)
    timed.sim.revoke(secret)
    await timed.clock.elapse(70)
    await within(timed, "emergency_began")
    assert "provider_down" in await kinds(timed.gateway)
    assert not [call for call in timed.sim.calls_of(secret) if call.model]
    denied = (await timed.gateway.acquire("openai", GPT)).denial
    assert denied.reason == denial_pb2.DENIAL_REASON_QUARANTINED
    timed.sim.restore(secret)
    await within(timed, "emergency_ended")
    told = await kinds(timed.gateway)
    assert told.count("emergency_began") == told.count("emergency_ended") == 1
    assert told.count("provider_down") == told.count("provider_recovered") == 1


async def within(timed: TimedWorld, kind: str, seconds: int = 120) -> None:
    """Let simulated seconds pass, in time for real HTTP, until something is told."""
    for _ in range(seconds):
        if kind in await kinds(timed.gateway):
            return
        await timed.clock.elapse(1)
    raise AssertionError(f"{kind} was not told: {await kinds(timed.gateway)}")
