"""What differs between one database and another, behind what is the same for all."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine

Work = Callable[[Connection], None]


class Place(Protocol):
    """Where the tables are; all methods are for any thread, and may block."""

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    @property
    def is_shared(self) -> bool:
        """May several brokers use it at once?"""
        ...

    @property
    def name(self) -> str:
        """Where it is, for logs and errors: without user and password."""
        ...

    @property
    def path(self) -> Path | None:
        """The file that it is in, where it is in one."""
        ...

    @property
    def max_batch(self) -> int:
        """Changes that one commit takes together at most: the first waits for the last."""
        ...

    def open(self, replica: str, connections: int) -> Engine:
        """An engine of this many connections, on tables as this version knows them.

        `replica` is told to whoever looks at who uses the database. Raises StoreUnusableError and
        StoreUnavailableError.
        """
        ...

    def connect(self, replica: str, connections: int) -> Engine:
        """As `open`, whatever the tables are; nothing is looked at."""
        ...

    def work_after_opening(self) -> Work | None:
        """What is done beside, on a connection that reads, once it is open."""
        ...

    def limit(self, connection: Connection, ends: float) -> None:
        """End the work on a connection at this monotonic time, if the database can be left."""
        ...

    def is_in_place(self) -> bool:
        """Is the database still the one that was opened?"""
        ...

    def is_lost(self, error: Exception) -> bool:
        """Did an error end a connection that had worked, so that a new one may do better?"""
        ...

    def is_conflict(self, error: Exception) -> bool:
        """Did a statement fail because it stood in the way of another transaction?"""
        ...

    def cause(self, error: BaseException | None) -> str:
        """What an error of the driver means to a person; never its text, which may quote values."""
        ...

    def now(self, connection: Connection) -> float:
        """The database's time in epoch seconds."""
        ...

    def close(self) -> None:
        """Let go of what `open` took; called once nothing uses the engine any more."""
        ...
