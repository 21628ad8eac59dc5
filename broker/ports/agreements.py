"""What the brokers on one database must agree on, and which of them there are."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Attendance:
    """A broker that runs on this database: it was there at `seen_at`, in epoch seconds.

    `sealing_keys` are the ids of the sealing keys that it can open with.
    """

    replica: str
    seen_at: float
    sealing_keys: frozenset[str]


class Agreements(Protocol):
    """Few small values that are the same for all, and the brokers' attendance.

    All methods raise StoreUnavailableError; what is put is durable on return.
    """

    async def get(self, name: str) -> str | None:
        """What was agreed under a name."""
        ...

    async def put(self, name: str, value: str) -> None:
        """Agree on a value from now on."""
        ...

    async def put_first(self, name: str, value: str) -> str:
        """Agree on a value unless there is one already; the one that holds, also under a race."""
        ...

    async def attend(self, attendance: Attendance) -> None:
        """Say that a broker is there; forget those that were last seen a day before."""
        ...

    async def leave(self, replica: str) -> None:
        """Say that a broker has ended."""
        ...

    async def present(self, since: float) -> Collection[Attendance]:
        """The brokers that were seen at that time or later, by name."""
        ...
