"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

from keybroker import address as addresses
from keybroker.aio.driver import Driver
from keybroker.aio.hold import AsyncHold, watch
from keybroker.aio.lease import AsyncLease, lent
from keybroker.ask import Ask, Wishes
from keybroker.calling import Calling, Limits, Served
from keybroker.holding import Holding
from keybroker.leasing import Terms, acquire
from keybroker.news import Board
from keybroker.record import CallRecord

T = TypeVar("T")


class AsyncClient:
    """A broker's client: make one per process and event loop, use it for everything, close it.

    What is not given is read from KEYBROKER_ADDRESS, KEYBROKER_TOKEN and KEYBROKER_CA. `timeout` is
    how long one call to the broker may take, in seconds, with its retries. Raises SettingError.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        ca: str | Path | None = None,
        tls: bool | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._driver = Driver(addresses.find(address, token, ca, tls=tls))
        self._terms = Terms(timeout)
        self._board = Board()
        self._watch: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._driver.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what leaves leases in order, in bounded time, and hang up."""
        if self._watch is not None:
            self._watch.cancel()
        await self._driver.close()

    @asynccontextmanager
    async def lease(
        self, provider: str, model: str, *, wait: float = 0.0, **wishes: Unpack[Wishes]
    ) -> AsyncIterator[AsyncLease]:
        """A lease for one request.

        `wait` is how many seconds to wait for a key where the broker says that waiting helps. When
        the block is left without a report, what happened is reported: an exception as what it says
        of the call, a cancellation as such, a call that was `sent` as a success. A lease that was
        not used is given back. Raises Denied and BrokerError.
        """
        self._driver.line.check_open()
        ask = Ask.of(provider, model, **wishes)
        grant = await self._driver.run(acquire(ask, wait, self._terms))
        async with lent(CallRecord(grant, ask, self._terms), self._driver) as lease:
            yield lease

    def hold(
        self,
        provider: str,
        model: str,
        *,
        concurrency: int = 1,
        wait: float = 0.0,
        **wishes: Unpack[Wishes],
    ) -> AsyncHold:
        """A lease for many requests, `concurrency` of them at one time.

        It is renewed in time, dropped when the broker tells that its key died, and replaced by the
        next request. Use: `async with client.hold(...) as hold`, then `async with hold.lease()`.
        """
        self._driver.line.check_open()
        if self._watch is None:
            self._watch = asyncio.create_task(watch(self._driver, self._board))
        ask = Ask.of(provider, model, concurrency, **wishes)
        return AsyncHold(Holding(ask, wait, self._terms, self._board), concurrency, self._driver)

    async def call(
        self,
        run: Callable[[AsyncLease], Awaitable[T]],
        provider: str,
        model: str,
        *,
        timeout: float | None = 300.0,  # noqa: ASYNC109 - it spans tries, waits and reports
        max_attempts: int = 5,
        wait: float = 0.0,
        can_replay: bool = False,
        **wishes: Unpack[Wishes],
    ) -> Served[T]:
        """Run `run(lease)` with as many keys and fallbacks as the broker advises.

        `run` returns a response of httpx or requests, an Outcome, or anything else for a success;
        or it raises. It is run again while the broker advises so, within `timeout` seconds and
        `max_attempts`. What the last try came to is returned or raised. Raises Denied and
        BrokerError when there was no try, CallTimeoutError when `run` took too long.
        """
        self._driver.line.check_open()
        limits = Limits(timeout, max_attempts, wait, can_replay)
        calling = Calling[T](Ask.of(provider, model, **wishes), limits, self._terms)
        return await self._driver.run(
            calling.steps(), lambda record: run(AsyncLease(record, self._driver))
        )
