"""Going through everything that is sealed, row by row, while all else goes on."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.sealed_rows import RowName, SealedRow

T = TypeVar("T")

PAGE = 200
"""Rows that are read, and written, at a time."""

AT_ONCE = 8
"""Rows that are opened at once: a service that keeps keys takes its time for each."""

PATIENCE_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long is waited before what failed for now is tried again."""

MAX_NAMED = 500
"""Rows that one message names."""


@dataclass(frozen=True, slots=True)
class SealProgress:
    """How far it is; `unreadable` are the rows that were not told before."""

    key_id: str
    done: int
    total: int
    unreadable: tuple[SealedRow, ...] = ()
    is_last: bool = False


@dataclass(slots=True)
class Walk:
    """What was done so far; `key_id` is the key that everything is sealed with."""

    key_id: str = ""
    done: int = 0
    total: int = 0
    unreadable: dict[RowName, SealedRow] = field(default_factory=dict)
    _told: int = 0

    @property
    def has_more_to_name(self) -> bool:
        """Do more rows wait to be named than one message takes?"""
        return len(self.unreadable) - self._told > MAX_NAMED

    def progress(self, *, is_last: bool = False) -> SealProgress:
        """Say how far it is."""
        fresh = tuple(islice(self.unreadable.values(), self._told, self._told + MAX_NAMED))
        self._told += len(fresh)
        return SealProgress(self.key_id, self.done, self.total, fresh, is_last)

    def knows(self, row: SealedRow) -> bool:
        """Was it found, as it is, that the row does not open?"""
        return self.unreadable.get(row.name) == row


async def patiently(call: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Do what may fail for now until it works; raises StoreUnavailableError in the end."""
    for wait_s in PATIENCE_S:
        try:
            return await call()
        except StoreUnavailableError:
            await clock.sleep(wait_s)
    return await call()


def in_parts(rows: Sequence[SealedRow]) -> list[Sequence[SealedRow]]:
    """AT_ONCE of them at a time."""
    return [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
