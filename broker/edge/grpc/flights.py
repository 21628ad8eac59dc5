"""Which calls are under way: a drain waits for the last handler's `finally`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Flights:
    """Counts calls from their handler's first line to its last."""

    def __init__(self) -> None:
        self.is_draining = False
        self._count = 0
        self._landed = asyncio.Event()
        self._landed.set()
        self._endless: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """A handler begins."""
        self._count += 1
        self._landed.clear()

    def end(self) -> None:
        """A handler has run to its end."""
        self._count -= 1
        if not self._count:
            self._landed.set()

    @asynccontextmanager
    async def endless(self) -> AsyncIterator[None]:
        """Run a stream that never ends by itself; TimeoutError when a drain cuts it."""
        async with asyncio.timeout(None) as life:
            self._endless.add(life)
            if self.is_draining:
                life.reschedule(asyncio.get_running_loop().time())
            try:
                yield
            finally:
                self._endless.discard(life)

    def drain(self) -> None:
        """Refuse new calls and cut the streams that never end by themselves."""
        self.is_draining = True
        now = asyncio.get_running_loop().time()
        for life in self._endless:
            life.reschedule(now)

    async def landed(self, within_s: float) -> bool:
        """Wait until no handler runs; say whether that came true in time."""
        try:
            await asyncio.wait_for(self._landed.wait(), within_s)
        except TimeoutError:
            return False
        return True
