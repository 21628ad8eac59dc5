"""Errors of the driver become errors of the ports here, and are told once an episode."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from broker.ports.errors import StoreUnavailableError

log = structlog.get_logger("keybroker")


MOVED = "its file was moved or deleted: put it back, and restart"

UNSURE = "the connection to it broke while it committed: look at what was kept before trying again"

CONFLICT = "another broker changes the same rows of the database: try again"


class MovedError(Exception):
    """The database's file is no longer where it was opened."""


@contextmanager
def unless_faulty(connection: Connection) -> Iterator[None]:
    """Use a connection, and never again if it saw a fault, which it may keep.

    The others stay: on a full disk new ones cannot be opened, and those there are can still read.
    """
    try:
        yield
    except SQLAlchemyError:
        connection.invalidate()
        raise


def refused(cause: str) -> StoreUnavailableError:
    """The error for what the database would not take, and works nevertheless."""
    return StoreUnavailableError(f"the database does not take it: {cause}")


class Episode:
    """Whether one kind of work on a database goes well, as calls find it; for any thread."""

    def __init__(self, name: str, work: str, cause: Callable[[BaseException | None], str]) -> None:
        self._names = {"database": name, "work": work}
        self._cause = cause
        self._lock = threading.Lock()
        self._fault = ""
        self._since = 0.0

    @property
    def fault(self) -> str:
        """What is wrong, "" while it works."""
        return self._fault

    def failed(self, error: Exception, *, is_unsure: bool = False) -> StoreUnavailableError:
        """The error to raise in place of the driver's; `is_unsure`: what was to be, may be."""
        if isinstance(error, DBAPIError):
            return self._told(UNSURE if is_unsure else self._cause(error.orig))
        if isinstance(error, MovedError):
            return self._told(MOVED)
        return self._told(f"it answered {type(error).__name__}")

    def _told(self, fault: str) -> StoreUnavailableError:
        """The error for a fault; a new fault is logged."""
        with self._lock:
            is_new, self._since = fault != self._fault, self._since or time.monotonic()
            self._fault = fault
        if is_new:
            log.error("database_unavailable", **self._names, detail=fault)
        return StoreUnavailableError(f"the database does not work: {fault}")

    def worked(self) -> None:
        """A call went well: the episode, if there was one, is over."""
        if not self._fault:
            return
        with self._lock:
            since, self._since, self._fault = self._since, 0.0, ""
        if since:
            down_s = round(time.monotonic() - since, 1)
            log.info("database_back", **self._names, after_s=down_s)
