"""A lease, for asyncio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

from keybroker.aio.driver import Driver
from keybroker.handle import Handle
from keybroker.outcome import Facts
from keybroker.record import CallRecord
from keybroker.verdict import Report


class AsyncLease(Handle):
    """The right to use one key for one upstream."""

    def __init__(self, record: CallRecord, driver: Driver) -> None:
        super().__init__(record)
        self._driver = driver

    async def report(self, response: object = None, **facts: Unpack[Facts]) -> Report:
        """Tell the broker how the call went, and learn what that means.

        `response` is one of httpx or requests, the exception that there was instead of one, or an
        Outcome; `facts` are told beside it or alone. Raises BrokerError.
        """
        return await self._driver.run(self._record.telling(response, facts))


@asynccontextmanager
async def lent(record: CallRecord, driver: Driver) -> AsyncIterator[AsyncLease]:
    """The lease for a block, and what is to be said when the block is left."""
    try:
        yield AsyncLease(record, driver)
    except GeneratorExit as error:  # nothing may be awaited any more
        driver.later(record.leaving(error))
        raise
    except BaseException as error:
        await driver.farewell(record.leaving(error))
        raise
    await driver.farewell(record.leaving(None))
