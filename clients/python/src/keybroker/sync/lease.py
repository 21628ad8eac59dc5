"""A lease, for threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

from keybroker.handle import Handle
from keybroker.outcome import Facts
from keybroker.record import CallRecord
from keybroker.sync.driver import Driver
from keybroker.verdict import Report


class Lease(Handle):
    """The right to use one key for one upstream."""

    def __init__(self, record: CallRecord, driver: Driver) -> None:
        super().__init__(record)
        self._driver = driver

    def report(self, response: object = None, **facts: Unpack[Facts]) -> Report:
        """Tell the broker how the call went, and learn what that means.

        `response` is one of httpx or requests, the exception that there was instead of one, or an
        Outcome; `facts` are told beside it or alone. Raises BrokerError.
        """
        return self._driver.run(self._record.telling(response, facts))


@contextmanager
def lent(record: CallRecord, driver: Driver) -> Iterator[Lease]:
    """The lease for a block, and what is to be said when the block is left."""
    try:
        yield Lease(record, driver)
    except BaseException as error:
        driver.farewell(record.leaving(error))
        raise
    driver.farewell(record.leaving(None))
