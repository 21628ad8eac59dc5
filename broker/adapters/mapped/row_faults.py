"""What is wrong with single rows of another system's table: told once, and shown while it lasts."""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import chain, islice
from typing import Final

import structlog

MAX_TENANTS: Final = 1000
"""Tenants with faults that are remembered; the one that was read the longest ago goes first."""

MAX_SHOWN: Final = 20

log = structlog.get_logger("keybroker")

Faults = tuple[tuple[str, str], ...]
"""(name of a row, what is wrong with it)."""


class RowFaults:
    """The faults that each tenant's last reading found."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._of: OrderedDict[str, Faults] = OrderedDict()

    def note(self, tenant: str, faults: Iterable[tuple[str, str]]) -> None:
        """Take what a reading of a tenant found; what it did not find before is logged."""
        found, before = tuple(faults), self._of.pop(tenant, ())
        for row, message in found:
            if (row, message) not in before:
                log.error("row_unusable", source=self._source, row=row, detail=message)
        if found:
            self._of[tenant] = found
            if len(self._of) > MAX_TENANTS:
                self._of.popitem(last=False)

    def shown(self) -> tuple[str, ...]:
        """One sentence each, the newest first, as many as a status shows."""
        newest = islice(chain.from_iterable(reversed(self._of.values())), MAX_SHOWN)
        told = [f"{self._source}, {row}: {message}" for row, message in newest]
        more = sum(map(len, self._of.values())) - len(told)
        return (*told, *([f"{self._source}: {more} more rows cannot be used"] if more else []))
