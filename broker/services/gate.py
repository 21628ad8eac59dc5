"""So many at once, and none of them late: who would wait too long is turned away."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.ports.clock import Clock


class GateFullError(Exception):
    """There are more than can be let in soon."""


class Gate:
    """Lets `width` in at once, and the others in turn, unless that takes longer than `patience_s`.

    Who comes when `most` wait already, or one of them for half of that time, is turned away at
    once: under more load than can be borne all would otherwise wait until nobody wants the answer.
    """

    def __init__(self, clock: Clock, width: int, most: int, patience_s: float) -> None:
        self._clock = clock
        self._free = width
        self._most = most
        self._patience_s = patience_s
        self._waiting: OrderedDict[asyncio.Future[None], float] = OrderedDict()

    @asynccontextmanager
    async def entered(self, *, may_wait: bool = True) -> AsyncIterator[None]:
        """Be in for as long as this is entered. Raises GateFullError."""
        if self._free:
            self._free -= 1
        elif may_wait and not self._is_full():
            await self._turn()
        else:
            raise GateFullError
        try:
            yield
        finally:
            self._leave()

    def _is_full(self) -> bool:
        if not self._waiting:
            return False
        waited_s = self._clock.now() - next(iter(self._waiting.values()))
        return len(self._waiting) >= self._most or waited_s > self._patience_s / 2

    async def _turn(self) -> None:
        """Wait to be let in."""
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[let_in] = self._clock.now()
        try:
            await asyncio.sleep(0)  # time begins when all that came in one rush are here
            await asyncio.wait({let_in}, timeout=self._patience_s)
        except asyncio.CancelledError:
            if let_in.done():
                self._leave()  # it was let in, and goes
            raise
        finally:
            self._waiting.pop(let_in, None)
        if not let_in.done():
            raise GateFullError

    def _leave(self) -> None:
        """Let the next one in."""
        if self._waiting:
            self._waiting.popitem(last=False)[0].set_result(None)
        else:
            self._free += 1
