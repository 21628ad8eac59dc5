"""What every clock promises."""

import asyncio
import time
from collections.abc import Callable

import pytest

from broker.ports.clock import Clock
from tests.contract.adapters import CLOCKS
from tests.fakes import FakeClock


@pytest.fixture(params=CLOCKS)
def clock(request: pytest.FixtureRequest) -> Clock:
    return CLOCKS[request.param]()


async def pass_time(clock: Clock, sleeping: asyncio.Task[None], seconds: float) -> None:
    """Time passes by itself, or by the test's hand."""
    if isinstance(clock, FakeClock):
        await clock.elapse(seconds)
    await sleeping


def test_time_is_told_in_epoch_seconds(clock: Clock) -> None:
    assert 1.7e9 < clock.now() < 4.0e9


def test_time_never_goes_back(clock: Clock) -> None:
    told = [clock.now() for _ in range(1000)]
    assert told == sorted(told)


async def test_sleep_is_never_too_short(clock: Clock) -> None:
    start = clock.now()
    await pass_time(clock, asyncio.ensure_future(clock.sleep(0.01)), 0.01)
    assert clock.now() >= start + 0.01


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_sleeping_no_time_lets_others_run_and_returns(clock: Clock, seconds: float) -> None:
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "another")
    await clock.sleep(seconds)
    assert ran == ["another"]


async def test_sleep_can_be_cancelled(clock: Clock) -> None:
    sleeping = asyncio.ensure_future(clock.sleep(3600.0))
    asyncio.get_running_loop().call_soon(sleeping.cancel)
    with pytest.raises(asyncio.CancelledError):
        await sleeping


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the machine's wall clock, and only that."""
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: seconds)


def test_a_wall_clock_that_is_set_back_changes_nothing(
    clock: Clock, wall_clock: Callable[[float], None]
) -> None:
    before = clock.now()
    wall_clock(1.0)
    assert before <= clock.now() < before + 60.0
