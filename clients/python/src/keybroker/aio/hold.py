"""Held leases, for asyncio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from keybroker.aio.driver import Driver
from keybroker.aio.lease import AsyncLease, lent
from keybroker.errors import KeybrokerError
from keybroker.holding import Holding
from keybroker.news import Board, pauses


class AsyncHold:
    """A lease for many requests, at most `places` at one time; replaced as its keys come and go.

    The first request acquires it.
    """

    def __init__(self, holding: Holding, places: int, driver: Driver) -> None:
        self._holding = holding
        self._places = asyncio.Semaphore(places)
        self._acquiring = asyncio.Lock()
        self._driver = driver
        self._woken = asyncio.Event()
        self._upkeep: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._holding.begin(self._woken.set)
        self._upkeep = asyncio.create_task(self._keep_up())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
        for steps in self._holding.end():
            await self._driver.farewell(steps)

    @asynccontextmanager
    async def lease(self, *, request_id: str = "") -> AsyncIterator[AsyncLease]:
        """The lease for one of the requests: report each. Raises Denied and BrokerError."""
        if not self._holding.is_begun:
            raise RuntimeError("enter the hold first: `async with client.hold(...) as hold`")
        self._driver.line.check_open()
        async with self._places:
            async with self._acquiring:
                record, kept = await self._driver.run(self._holding.record(request_id))
            try:
                async with lent(record, self._driver) as lease:
                    yield lease
            finally:
                self._holding.leave(kept)

    async def _keep_up(self) -> None:
        while True:
            self._woken.clear()
            for steps in self._holding.chores():
                await self._driver.farewell(steps)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._holding.next_chore_in()):
                    await self._woken.wait()


async def watch(driver: Driver, board: Board) -> None:
    """Keep the board told, for as long as the client lives."""
    waits = pauses()
    while True:
        try:
            await driver.listen(board.hear)
        except KeybrokerError:
            waits = pauses() if board.is_live else waits
        finally:
            board.lost()
        await asyncio.sleep(next(waits))
