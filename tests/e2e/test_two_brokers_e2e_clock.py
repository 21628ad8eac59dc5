"""Brokers on one PostgreSQL of which one has a wall clock that is an hour off."""

import asyncio
import time
from functools import partial

from keybroker.v1 import circuit_pb2, denial_pb2, lease_pb2
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, until
from tests.e2e.shared_house import set_up, shared
from tests.e2e.test_restarts_clock import HOUR_S, Clock

__all__ = ["house"]

LIMITED_S = 8.0
SLACK_S = 1.0
COOLING_DOWN = denial_pb2.DENIAL_REASON_COOLING_DOWN


async def cools_down(broker: Broker) -> bool:
    answer = await broker.gateway.acquire("openai", "gpt-4o", tenant="acme")
    return answer.denial.reason == COOLING_DOWN


async def waits_s(broker: Broker) -> float:
    """How long a caller is told to wait, from now."""
    denial = await broker.denied("acme")
    assert denial.reason == COOLING_DOWN
    return denial.retry_delay.ToNanoseconds() / 1e9


async def ends_at(broker: Broker) -> float:
    """When the key's circuit lets calls through again, as the status tells."""
    circuits: list[circuit_pb2.Circuit] = list((await broker.status()).circuits)
    [until_] = {circuit.until.ToNanoseconds() / 1e9 for circuit in circuits if circuit.scope.key_id}
    return until_


async def test_brokers_whose_wall_clocks_are_an_hour_apart_agree_on_every_deadline(
    house: House,
) -> None:
    """One hour ahead, one behind, one right, on one database: its time is everybody's."""
    async with shared(house) as world:
        right = await set_up(world, "right")
        clock = Clock(house)
        clock.step_to(HOUR_S)
        ahead = await world.start("ahead")
        clock.step_to(-HOUR_S)  # the one ahead sees a step of two hours, the next one starts so
        behind = await world.start("behind")
        brokers = (right, ahead, behind)
        leases = [await broker.lease("acme") for broker in brokers]
        granted = [lease.grant_time.ToNanoseconds() / 1e9 for lease in leases]
        assert max(granted) - min(granted) < SLACK_S
        assert abs(granted[0] - time.time()) < SLACK_S
        for broker in brokers:
            for lease in leases:
                renewed = await broker.renew(lease)
                assert renewed.lease_state == lease_pb2.LEASE_STATE_LIVE
                lasts = renewed.expire_time.seconds - time.time()
                assert 300 - SLACK_S - 1 < lasts < 300 + SLACK_S
        house.sim.limit_for("acme", LIMITED_S)
        began = time.monotonic()
        await ahead.gateway.use(leases[0])
        for broker in brokers:
            await until(partial(cools_down, broker), 2.0)
        left_s = LIMITED_S - (time.monotonic() - began)
        for wait_s in await asyncio.gather(*map(waits_s, brokers)):
            assert left_s - SLACK_S < wait_s < 1.1 * LIMITED_S + SLACK_S
        ends = await asyncio.gather(*map(ends_at, brokers))
        assert max(ends) - min(ends) < 0.1
        assert not any("clock_turned_back" in broker.log.read_text() for broker in brokers)
        times = [event.time.ToNanoseconds() / 1e9 for event in await right.events()]
        assert max(times) - min(times) < 60.0
