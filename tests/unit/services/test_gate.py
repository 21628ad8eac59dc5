"""A gate lets in so many, turns away who would wait too long, and loses no place."""

import asyncio

import pytest

from broker.services.gate import Gate, GateFullError
from tests.fakes import FakeClock, settle


class Visitor:
    """Somebody who is in until told to go."""

    def __init__(self, gate: Gate) -> None:
        self.go = asyncio.Event()
        self.is_in = False
        self.visit = asyncio.ensure_future(self._visit(gate))

    async def _visit(self, gate: Gate) -> None:
        async with gate.entered():
            self.is_in = True
            await self.go.wait()


async def visitors(gate: Gate, count: int) -> list[Visitor]:
    made = [Visitor(gate) for _ in range(count)]
    await settle()
    return made


async def test_the_others_follow_in_turn() -> None:
    gate = Gate(FakeClock(), 2, 9, 5.0)
    first, second, third, fourth = await visitors(gate, 4)
    assert [v.is_in for v in (first, second, third, fourth)] == [True, True, False, False]
    first.go.set()
    await settle()
    assert (third.is_in, fourth.is_in) == (True, False)
    for visitor in (second, third, fourth):
        visitor.go.set()
    await asyncio.gather(*(visitor.visit for visitor in (second, third, fourth)))
    assert all(v.is_in for v in await visitors(gate, 2))


async def test_who_comes_when_others_wait_for_long_is_turned_away_at_once() -> None:
    clock = FakeClock()
    gate = Gate(clock, 1, 9, 5.0)
    inside, waiting = await visitors(gate, 2)
    clock.advance(3.0)
    (late,) = await visitors(gate, 1)
    with pytest.raises(GateFullError):
        await late.visit
    inside.go.set()
    await settle()
    assert waiting.is_in
    waiting.go.set()
    await waiting.visit


async def test_who_waits_for_too_long_is_turned_away() -> None:
    gate = Gate(FakeClock(), 1, 9, 0.01)
    inside, waiting = await visitors(gate, 2)
    with pytest.raises(GateFullError):
        await waiting.visit
    inside.go.set()
    await inside.visit
    assert all(v.is_in for v in await visitors(gate, 1))


@pytest.mark.parametrize("was_let_in", [False, True])
async def test_who_leaves_while_waiting_takes_nobodys_place(*, was_let_in: bool) -> None:
    gate = Gate(FakeClock(), 1, 9, 5.0)
    inside, waiting, next_one = await visitors(gate, 3)
    if was_let_in:
        inside.go.set()
        await inside.visit
        await asyncio.sleep(0)
    waiting.visit.cancel()
    await asyncio.gather(waiting.visit, return_exceptions=True)
    inside.go.set()
    await settle()
    assert next_one.is_in
    next_one.go.set()
    await next_one.visit
    assert all(v.is_in for v in await visitors(gate, 1))


async def test_no_more_wait_than_may() -> None:
    gate = Gate(FakeClock(), 1, 2, 5.0)
    inside, *waiting, late = await visitors(gate, 4)
    with pytest.raises(GateFullError):
        await late.visit
    for visitor in (inside, *waiting):
        visitor.go.set()
        await visitor.visit


async def test_who_may_not_wait_is_turned_away_at_once() -> None:
    gate = Gate(FakeClock(), 1, 9, 5.0)
    async with gate.entered(may_wait=False):
        with pytest.raises(GateFullError):
            async with gate.entered(may_wait=False):
                pass
