"""Turns to probe one provider: few at a time, paced, and what is urgent goes first."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

from broker.core.pace import Pace, take
from broker.ports.clock import Clock

MAX_IN_FLIGHT = 8
"""Probes of a provider that are under way at a time."""

MAX_ROUTINE = 4
"""Of these, routine ones: where a provider hangs they must not take the last place."""

PROBES = Pace(per_minute=20 * 60.0, burst=20.0)
"""Per provider: 20 probes a second."""

CLOCK_GRAIN_S = 0.001
"""A wait must not be too short for the clock to tell that it is over."""

Name = tuple[str, str]
"""A revision of a key: (key id, revision)."""


class Lane(IntEnum):
    """Who goes first: leases are refused on open evidence, and nobody waits for a routine."""

    EVIDENCE = 0
    CIRCUIT = 1
    OPERATOR = 2
    ROUTINE = 3


class ProbeLine:
    """One provider's waiting line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = 0.0
        self._in_flight = 0
        self._waiting = {lane: OrderedDict[Name, asyncio.Future[None]]() for lane in Lane}
        self._alarm: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def turn(self, name: Name, lane: Lane) -> AsyncIterator[None]:
        """Wait for a turn and keep it; a name waits once at a time."""
        await self._wait(name, lane)
        try:
            yield
        finally:
            self._in_flight -= 1
            self._admit()

    def hurry(self, name: Name, lane: Lane) -> None:
        """Let a name that waits in a slower lane wait in this one."""
        for slower in self._waiting:
            waiting = self._waiting[slower].pop(name, None) if slower > lane else None
            if waiting is not None:
                self._waiting[lane][name] = waiting
                self._admit()
                return

    def close(self) -> None:
        """Admit nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    async def _wait(self, name: Name, lane: Lane) -> None:
        turn = self._waiting[lane][name] = asyncio.get_running_loop().create_future()
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._in_flight -= 1  # it was given the turn and leaves all the same
                self._admit()
            for line in self._waiting.values():
                line.pop(name, None)
            raise

    def _admit(self) -> None:
        """Give turns as long as there are places and the pace allows."""
        while (line := self._first()) is not None:
            self._due, wait_s = take(PROBES, self._due, 1.0, self._clock.now())
            if wait_s > 0:
                self._wake_in(wait_s + CLOCK_GRAIN_S)
                return
            _, turn = line.popitem(last=False)
            if not turn.cancelled():
                self._in_flight += 1
                turn.set_result(None)

    def _first(self) -> OrderedDict[Name, asyncio.Future[None]] | None:
        """The lane whose turn it is, if there is a place for it."""
        for lane, line in self._waiting.items():
            if line:
                places = MAX_ROUTINE if lane is Lane.ROUTINE else MAX_IN_FLIGHT
                return line if self._in_flight < places else None
        return None

    def _wake_in(self, seconds: float) -> None:
        if self._alarm is None or self._alarm.done():
            self._alarm = asyncio.get_running_loop().create_task(self._wake(seconds))

    async def _wake(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._alarm = None
        self._admit()
