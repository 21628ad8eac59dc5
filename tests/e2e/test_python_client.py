"""The Python client at a real broker and real HTTP: what its callers see, and what it leaves."""

import asyncio
import json
import logging
import socket
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from broker.app import App, build
from broker.config import Settings
from keybroker import (
    AsyncClient,
    AsyncLease,
    BrokerUnavailable,
    Client,
    DenialAction,
    DenialReason,
    Denied,
    Lease,
    Outcome,
    Target,
    VerdictKind,
)
from simulator import Fault, RouteKind
from simulator.client import generation
from tests.e2e.conftest import MODELS, World
from tests.e2e.python_client import address, asking, heal
from tests.fakes import FakeKeySource, FakeProber
from tests.unit.services.status_given import a_key

GPT = MODELS["openai"]
CLAUDE = MODELS["anthropic"]


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncClient]:
    """The async client."""
    async with AsyncClient(address(world)) as client:
        yield client


def ask_by_urllib(lease: Lease) -> str:
    """A provider call by the standard library, which raises what is no success."""
    url, body = generation(lease.provider, lease.base_url, lease.provider_model)
    headers = {"content-type": "application/json", **lease.headers()}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=lease.time_left) as response:  # noqa: S310
        answer: bytes = response.read()
    return answer.decode()


async def test_callers_see_no_failure_while_a_key_dies(world: World, client: AsyncClient) -> None:
    """The first call that meets the dead key is served by the other; later ones avoid it."""
    dead, _ = await world.add_keys("openai", 2)
    world.sim.revoke(dead)
    served = [await client.call(asking(world), "openai", GPT) for _ in range(6)]
    assert all(each.ok and each.response.status_code == 200 for each in served)
    assert len([call for call in world.sim.calls_of(dead) if call.model]) <= 1


async def test_threads_are_served_as_well(world: World) -> None:
    dead, _ = await world.add_keys("openai", 2)
    world.sim.revoke(dead)

    def calls() -> list[VerdictKind | None]:
        with Client(address(world)) as client:
            served = [client.call(ask_by_urllib, "openai", GPT) for _ in range(6)]
        assert all("Hello" in each.response for each in served)
        return [attempt.verdict for each in served for attempt in each.attempts]

    verdicts = await asyncio.to_thread(calls)
    assert verdicts.count(VerdictKind.INVALID_CREDENTIAL) <= 1
    assert verdicts.count(VerdictKind.OK) == 6


async def test_an_empty_wallet_leads_to_the_fallback(world: World, client: AsyncClient) -> None:
    [poor] = await world.add_keys("openai", 1)
    await world.add_keys("anthropic", 1)
    world.sim.empty(poor)
    served = await client.call(
        asking(world), "openai", GPT, fallbacks=[("anthropic", CLAUDE)], tenant="acme"
    )
    assert served.ok
    assert [attempt.verdict for attempt in served.attempts] == [
        VerdictKind.QUOTA_EXHAUSTED,
        VerdictKind.OK,
    ]
    assert served.last.target == Target("anthropic", CLAUDE)


async def test_what_goes_wrong_below_or_beside_http_is_told_and_survived(
    world: World, client: AsyncClient
) -> None:
    """The function does nothing for it: exceptions and responses tell by themselves."""
    await world.add_keys("openai", 2)
    kinds = {
        Fault.RESET: VerdictKind.UNREACHABLE,
        Fault.CLOSE: VerdictKind.UNREACHABLE,
        Fault.GARBAGE: VerdictKind.UNREACHABLE,
        Fault.HALF_BODY: VerdictKind.UNREACHABLE,
        Fault.HTML_PAGE: VerdictKind.SERVER_ERROR,
        Fault.ERROR_IN_200: VerdictKind.OVERLOADED,
    }
    for fault, kind in kinds.items():
        await heal(world)
        world.sim.fault(fault, only=RouteKind.GENERATE, times=1)
        served = await client.call(asking(world), "openai", GPT)
        assert [attempt.verdict for attempt in served.attempts] == [kind, VerdictKind.OK]


async def test_when_all_keys_are_dead_the_denial_says_what_to_do(
    world: World, client: AsyncClient
) -> None:
    [dead] = await world.add_keys("openai", 1)
    await world.add_keys("anthropic", 1)
    world.sim.revoke(dead)
    last = await client.call(asking(world), "openai", GPT)
    assert last.response.status_code == 401
    assert last.denial is not None
    with pytest.raises(Denied) as told:
        await client.call(asking(world), "openai", GPT)
    assert told.value.reason is DenialReason.QUARANTINED
    assert told.value.action is DenialAction.FIX_KEYS
    assert told.value.keys_by_state == {"quarantined": 1}
    assert told.value.help_url


async def test_a_broker_that_is_gone_is_told_in_time(world: World) -> None:
    await world.add_keys("openai", 1)
    async with AsyncClient(address(world), timeout=0.5) as client:
        await client.call(asking(world), "openai", GPT)
        await world.app.stop()
        with pytest.raises(BrokerUnavailable):
            await client.call(asking(world), "openai", GPT)


async def test_callers_see_no_failure_while_the_broker_restarts() -> None:
    """It drains under load, is gone for a moment, and is back at the same address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = Settings(
        database="memory",
        grpc_listen=f"127.0.0.1:{port}",
        http_listen="",
        drain_seconds=1.0,
        lease_secrets=(SecretStr("s" * 32),),
    )

    async def start() -> App:
        app = await build(settings, sources=[FakeKeySource([a_key("k1")])], prober=FakeProber())
        await app.start()
        return app

    app = await start()
    is_over = False
    verdicts: Counter[VerdictKind | None] = Counter()

    async def succeed(lease: AsyncLease) -> Outcome:
        lease.headers()
        await asyncio.sleep(0.02)
        return Outcome(status=200)

    async def call_on(client: AsyncClient) -> None:
        while not is_over:
            served = await client.call(succeed, "openai", GPT)
            verdicts[served.last.verdict] += 1

    async with AsyncClient(f"127.0.0.1:{port}") as client:
        callers = [asyncio.create_task(call_on(client)) for _ in range(20)]
        await asyncio.sleep(0.15)
        await app.stop()
        await asyncio.sleep(0.15)
        app = await start()
        await asyncio.sleep(0.15)
        is_over = True
        await asyncio.gather(*callers)
    await app.stop()
    assert set(verdicts) == {VerdictKind.OK}


async def test_no_secret_is_logged_or_shown(
    world: World, client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    [secret] = await world.add_keys("openai", 1)
    shown: list[object] = []

    async def run(lease: AsyncLease) -> httpx.Response:
        shown.extend([lease, vars(lease), lease.secret, lease._record.grant])  # noqa: SLF001
        return await asking(world)(lease)

    shown.append(await client.call(run, "openai", GPT))
    world.sim.revoke(secret)
    shown.append(await client.call(run, "openai", GPT))
    assert secret not in caplog.text
    assert secret not in "".join(f"{each!r} {each}" for each in shown)
