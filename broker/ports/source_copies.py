"""Copies of what remote sources of keys gave last: what a start without the source serves from."""

from dataclasses import dataclass
from typing import Protocol

from broker.ports.key_source import SourceSnapshot


@dataclass(frozen=True, slots=True)
class SourceCopy:
    """What a source gave when it was last read, at that epoch second; of faults it has none."""

    source: str
    read_at: float
    snapshot: SourceSnapshot


class SourceCopies(Protocol):
    """One sealed copy a source: who has it without the sealing key has nothing."""

    async def get(self, source: str) -> SourceCopy | None:
        """The copy of a source, or None where there is none.

        Raises SealBrokenError for what is damaged or sealed by another key, StoreUnusableError for
        what this broker must not use, SealClosedError, and StoreUnavailableError.
        """
        ...

    async def put(self, copy: SourceCopy) -> None:
        """Keep a copy in place of the source's earlier one: whole and durable on return, or not.

        Raises SealClosedError and StoreUnavailableError.
        """
        ...
