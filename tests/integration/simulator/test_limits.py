"""Limits end by the clock, concern what they were set on, and say what is left."""

import asyncio

from simulator import Simulator
from tests.integration.simulator.caller import Caller, FakeClock

ALPHA = "sk-openai-0123456789-live"


async def test_a_limit_for_some_time_ends_by_itself(
    sim: Simulator, call: Caller, clock: FakeClock
) -> None:
    sim.limit_for(ALPHA, 0.7)
    assert (await call.generate("openai", ALPHA)).status_code == 429
    clock.advance(0.5)
    answer = await call.generate("openai", ALPHA)
    assert answer.headers["retry-after-ms"] == "200", "what is left, not what was set"
    clock.advance(0.2)
    assert (await call.generate("openai", ALPHA)).status_code == 200
    clock.advance(100)
    assert (await call.generate("openai", ALPHA)).status_code == 200


async def test_a_limit_on_one_model_leaves_the_others_alone(sim: Simulator, call: Caller) -> None:
    sim.limit_for(ALPHA, 60, model="gpt-4o")
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 429
    assert (await call.generate("openai", ALPHA, model="gpt-4o-mini")).status_code == 200
    sim.unlimit(ALPHA, "gpt-4o")
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 200


async def test_a_counted_limit_admits_so_many_in_each_window(
    sim: Simulator, call: Caller, clock: FakeClock
) -> None:
    sim.limit_count(ALPHA, 2, per_s=60)
    first = await call.generate("openai", ALPHA)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    clock.advance(20)
    assert (await call.generate("openai", ALPHA)).status_code == 200
    third = await call.generate("openai", ALPHA)
    assert third.status_code == 429
    assert third.headers["retry-after"] == "40"
    clock.advance(40)
    statuses = [(await call.generate("openai", ALPHA)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_a_request_that_one_limit_refuses_counts_against_no_other(
    sim: Simulator, call: Caller
) -> None:
    sim.limit_count(ALPHA, 1, per_s=60)
    sim.limit_for(ALPHA, 60, model="gpt-4o")
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 429
    assert (await call.generate("openai", ALPHA, model="gpt-4o-mini")).status_code == 200


async def test_listing_models_is_not_limited(sim: Simulator, call: Caller) -> None:
    sim.limit_for(ALPHA, 60)
    assert (await call.list_models("openai", ALPHA)).status_code == 200


async def test_more_requests_in_flight_than_allowed_are_refused(
    sim: Simulator, call: Caller
) -> None:
    sim.limit_concurrency(ALPHA, 1)
    sim.hang(key=ALPHA)
    first = asyncio.create_task(call.generate("openai", ALPHA))
    await sim.until(lambda: sim.key(ALPHA).in_flight == 1)
    second = asyncio.create_task(call.generate("openai", ALPHA))
    await sim.until(lambda: sim.key(ALPHA).in_flight == 2)
    sim.release(key=ALPHA)
    assert (await first).status_code == 200
    assert (await second).status_code == 429
    assert sim.key(ALPHA).in_flight == 0
    assert (await call.generate("openai", ALPHA)).status_code == 200
