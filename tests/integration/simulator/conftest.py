"""A running simulator with one living key for each dialect, and a caller."""

from collections.abc import AsyncIterator

import pytest

from simulator import DIALECTS, Simulator
from tests.integration.simulator.caller import Caller, FakeClock, http_client


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator.start(clock=clock) as simulator:
        for dialect in DIALECTS:
            simulator.add_key(dialect, f"sk-{dialect}-0123456789-live")
        yield simulator


@pytest.fixture
async def call(sim: Simulator) -> AsyncIterator[Caller]:
    async with http_client() as http:
        yield Caller(sim, http)
