"""A wall clock that steps by an hour, while a broker runs and between two runs."""

import asyncio

from keybroker.v1 import denial_pb2, lease_pb2
from tests.e2e.command import ROOT
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, until

__all__ = ["house"]

HOUR_S = 3600.0
LIMITED_S = 3.0
"""How long the provider limits a key in these stories."""

SHIFT = """
import os, time

_time = time.time


def shifted() -> float:
    with open(os.environ["SHIFT_FILE"]) as file:
        return _time() + float(file.read() or 0)


time.time = shifted
time.time_ns = lambda: int(shifted() * 1e9)
"""
"""Becomes `sitecustomize`: every Python process reads its wall clock through it."""


class Clock:
    """The wall clock of the brokers of a house."""

    def __init__(self, house: House) -> None:
        self._file = house.folder / "shift"
        folder = house.folder / "clock"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SHIFT)
        house.env |= {"PYTHONPATH": f"{folder}:{ROOT}", "SHIFT_FILE": str(self._file)}
        self.step_to(0.0)

    def step_to(self, seconds: float) -> None:
        """Let it be so far from the truth."""
        draft = self._file.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self._file)


def now() -> float:
    return asyncio.get_running_loop().time()


async def is_limited(broker: Broker, since: float, lost_s: float = 0.0) -> None:
    """It is, for as long as it ought to be; the end may be late by some jitter, and by `lost_s`."""
    denial = await broker.denied()
    assert denial.reason == denial_pb2.DENIAL_REASON_COOLING_DOWN
    waits_s = denial.retry_delay.ToNanoseconds() / 1e9
    left_s = LIMITED_S - (now() - since)
    assert left_s - 1.0 < waits_s < left_s + 0.1 * LIMITED_S + 0.5 + lost_s


async def has_a_lease(broker: Broker) -> bool:
    return (await broker.gateway.acquire("openai", "gpt-4o")).HasField("lease")


async def test_deadlines_hold_as_durations_however_the_clock_steps(house: House) -> None:
    """Never early, and after a restart late by no more than nobody wrote anything down."""
    clock = Clock(house)
    house.write_env(OPENAI_API_KEY=house.issue("s1"))
    broker = await house.start()
    await broker.says("boot_probe_done")
    lease = await broker.lease()
    house.sim.limit_for("s1", LIMITED_S)
    began = now()
    await broker.gateway.use(await broker.lease())
    for step in (HOUR_S, -HOUR_S):
        clock.step_to(step)
        await asyncio.sleep(0.3)
        await is_limited(broker, began)
        renewed = await broker.renew(lease)
        assert 299 <= renewed.expire_time.seconds - lease.grant_time.seconds <= 303
    await broker.kill()
    again = await house.start()
    assert again.said("clock_turned_back")
    await is_limited(again, began, now() - began)
    assert (await again.renew(lease)).lease_state == lease_pb2.LEASE_STATE_LIVE
    await until(lambda: has_a_lease(again), 1.1 * LIMITED_S + 1.0)
    assert now() - began > LIMITED_S - 0.2
    events = await again.events()
    assert [event.time.seconds for event in events] == sorted(e.time.seconds for e in events)
