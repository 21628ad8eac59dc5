"""The stories of upstreams, over a real server and real HTTP: requests count, not attempts."""

import asyncio

import pytest

from keybroker.v1 import denial_pb2, lease_pb2, verdict_pb2
from simulator import Refusal
from tests.e2e.conftest import MODELS, TimedWorld, World

GPT = MODELS["openai"]


async def _uptime(world: World) -> tuple[int, int]:
    """Requests that succeeded and failed at the one upstream, as the status tells."""
    status = await world.status()
    [upstream] = [entry for entry in status.upstreams if entry.model == GPT]
    return upstream.ok_count, upstream.failed_count


async def _failing_lease(world: World, request_id: str) -> lease_pb2.Lease:
    world.sim.fault(Refusal.UNAVAILABLE, dialect="openai", times=1)
    return await world.gateway.lease("openai", GPT, request_id)


@pytest.mark.parametrize("way", ["acquire_next", "will_retry", "just acquires again"])
async def test_a_request_that_a_second_key_saved_costs_the_upstream_nothing(
    world: World, way: str
) -> None:
    """Key A gets 503, key B succeeds: uptime stays 100 %, however the gateway retries."""
    await world.add_keys("openai", 2)
    for number in range(5):
        request_id = f"request-{number}"
        first = await _failing_lease(world, request_id)
        outcome = await world.gateway.call(first)
        assert outcome.http_status == 503
        if way == "acquire_next":
            reported = await world.gateway.report(
                first, outcome, acquire_next=lease_pb2.AcquireNext()
            )
            second = reported.lease
        else:
            await world.gateway.report(first, outcome, will_retry=way == "will_retry")
            second = (await world.gateway.acquire("openai", GPT, request_id, attempt=2)).lease
        assert second.lease_id
        reported = await world.gateway.use(second)
        assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_OK
    assert await _uptime(world) == (5, 0)


async def test_ten_requests_lost_in_a_row_open_the_upstream(world: World) -> None:
    """Final failures count, and the denial offers what still works."""
    await world.add_keys("openai", 2)
    world.sim.fault(Refusal.SERVER_ERROR, dialect="openai", model=GPT)
    for _ in range(10):
        await world.gateway.use(await world.gateway.lease("openai", GPT))
    denied = await world.gateway.acquire("openai", GPT)
    assert denied.denial.reason == denial_pb2.DENIAL_REASON_UPSTREAM_OPEN
    assert denied.denial.action == denial_pb2.DENIAL_ACTION_SWITCH_MODEL
    assert (await world.gateway.acquire("openai", "gpt-4o-mini")).HasField("lease")


async def test_an_upstream_with_ordinary_errors_heals_within_2_minutes(timed: TimedWorld) -> None:
    """100 requests a second of which 1 % fail must not keep it open."""
    await timed.add_keys("openai", 1)
    timed.sim.fault(Refusal.SERVER_ERROR, dialect="openai", model=GPT)
    for _ in range(10):
        await timed.gateway.use(await timed.gateway.lease("openai", GPT))
    timed.sim.clear_faults()
    timed.sim.fail_rate("openai", 0.01)
    for second in range(120):
        timed.clock.advance(1.0)
        served = sum(await asyncio.gather(*(_is_served(timed) for _ in range(100))))
        if served == 100:
            assert second < 120
            return
    pytest.fail("not healed within 2 minutes")


async def _is_served(world: World) -> bool:
    """One request: was there a lease? Its call is real, and sometimes fails."""
    answer = await world.gateway.acquire("openai", GPT)
    if not answer.HasField("lease"):
        return False
    await world.gateway.use(answer.lease)
    return True


@pytest.mark.parametrize("call_s", [0.1, 5.0])
async def test_a_short_rate_limit_on_a_lone_key_costs_less_than_2_s(
    world: World, call_s: float
) -> None:
    """0.7 s at 50 requests a second: no ramp that waits for slow calls to end."""
    [secret] = await world.add_keys("openai", 1)
    world.sim.generate_for(call_s, dialect="openai", pieces=1)
    lost = 0

    async def request() -> None:
        nonlocal lost
        answer = await world.gateway.acquire("openai", GPT)
        if not answer.HasField("lease"):
            lost += 1
            return
        reported = await world.gateway.use(answer.lease)
        lost += reported.verdict.kind != verdict_pb2.VERDICT_KIND_OK

    async with asyncio.TaskGroup() as requests:
        for number in range(200):
            if number == 25:
                world.sim.limit_for(secret, 0.7, GPT)
            requests.create_task(request())
            await asyncio.sleep(0.02)
    assert 0 < lost / 50 < 2.0
