"""Turns to probe: who is urgent goes first, and a routine takes no place that evidence needs."""

import asyncio

from broker.services.probe_line import MAX_IN_FLIGHT, MAX_ROUTINE, Lane, ProbeLine
from tests.fakes import FakeClock, settle


class Rig:
    """A line, and probes that last until they are let go."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.line = ProbeLine(self.clock)
        self.began: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def want(self, lane: Lane, *names: str) -> None:
        for name in names:
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._probe(name, lane))
        await settle()

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)
        await settle()

    async def _probe(self, name: str, lane: Lane) -> None:
        async with self.line.turn((name, "r"), lane):
            self.began.append(name)
            await self.ends[name].wait()


def some(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{place}" for place in range(number)]


async def test_routine_probes_leave_places_for_evidence() -> None:
    rig = Rig()
    await rig.want(Lane.ROUTINE, *some("r", 10))
    assert rig.began == some("r", MAX_ROUTINE)
    await rig.want(Lane.EVIDENCE, *some("e", 5))
    assert rig.began[MAX_ROUTINE:] == some("e", MAX_IN_FLIGHT - MAX_ROUTINE)


async def test_a_place_that_becomes_free_goes_to_whom_it_is_most_urgent_for() -> None:
    rig = Rig()
    await rig.want(Lane.OPERATOR, *some("o", MAX_IN_FLIGHT))
    await rig.want(Lane.ROUTINE, "routine")
    await rig.want(Lane.OPERATOR, "operator")
    await rig.want(Lane.CIRCUIT, "circuit")
    await rig.want(Lane.EVIDENCE, "evidence")
    for name in some("o", MAX_IN_FLIGHT):
        await rig.end(name)
    assert rig.began[MAX_IN_FLIGHT:] == ["evidence", "circuit", "operator", "routine"]


async def test_the_next_turn_that_the_pace_allows_is_for_evidence() -> None:
    rig = Rig()
    for name in some("o", 25):
        await rig.want(Lane.OPERATOR, name)
        await rig.end(name)
    assert len(rig.began) == 20
    await rig.want(Lane.EVIDENCE, "evidence")
    assert "evidence" not in rig.began
    await rig.clock.elapse(0.06)
    assert rig.began[20] == "evidence"
    await rig.clock.elapse(1.0)
    assert len(rig.began) == 26


async def test_who_waits_in_a_slow_lane_can_be_hurried() -> None:
    rig = Rig()
    await rig.want(Lane.ROUTINE, *some("r", 6))
    rig.line.hurry(("r5", "r"), Lane.EVIDENCE)
    await settle()
    assert rig.began == ["r0", "r1", "r2", "r3", "r5"]
    rig.line.hurry(("r4", "r"), Lane.ROUTINE)
    rig.line.hurry(("nobody", "r"), Lane.EVIDENCE)
    await settle()
    assert "r4" not in rig.began


async def test_who_leaves_the_line_or_a_turn_takes_nobodys_place() -> None:
    rig = Rig()
    await rig.want(Lane.ROUTINE, *some("r", MAX_ROUTINE + 2))
    await rig.cancel(f"r{MAX_ROUTINE}")
    await rig.cancel("r0")
    assert rig.began == [*some("r", MAX_ROUTINE), f"r{MAX_ROUTINE + 1}"]


async def test_a_turn_that_is_given_to_somebody_who_just_left_goes_to_the_next() -> None:
    rig = Rig()
    await rig.want(Lane.ROUTINE, *some("r", MAX_ROUTINE + 2))
    rig.ends["r0"].set()
    asyncio.get_running_loop().call_soon(rig.tasks[f"r{MAX_ROUTINE}"].cancel)
    await settle()
    assert f"r{MAX_ROUTINE}" not in rig.began
    assert f"r{MAX_ROUTINE + 1}" in rig.began


async def test_a_closed_line_wakes_nobody() -> None:
    rig = Rig()
    for name in some("o", 21):
        await rig.want(Lane.OPERATOR, name)
        await rig.end(name)
    rig.line.close()
    await rig.clock.elapse(1.0)
    assert len(rig.began) == 20
