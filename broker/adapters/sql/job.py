"""Work for a database thread, and how a caller waits for it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from broker.ports.errors import StoreUnavailableError

T = TypeVar("T")

COMMIT_GRACE_S = 1.0
"""How much longer a caller waits for a commit that is under way at its deadline."""


class Job(Generic[T]):
    """One piece of work within a transaction.

    It is either given up before its commit begins, and then not made, or its commit decides.
    """

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.done: Future[T] = Future()
        self._lock = threading.Lock()
        self._is_given_up = False
        self._is_committing = False

    async def wait(self, deadline_s: float) -> T:
        """The work's result, or what it raised; StoreUnavailableError when it takes too long."""
        done = asyncio.wrap_future(self.done)
        try:
            await asyncio.wait({done}, timeout=deadline_s)
            if not done.done() and not self.give_up():
                await asyncio.wait({done}, timeout=COMMIT_GRACE_S)
        except asyncio.CancelledError:
            self.give_up()
            raise
        finally:
            if not done.done():
                done.cancel()
        if done.cancelled():
            raise StoreUnavailableError(f"the database did not answer within {deadline_s:g} s")
        return done.result()

    def give_up(self) -> bool:
        """Leave the work unmade, unless its commit has begun."""
        with self._lock:
            self._is_given_up = not self._is_committing
            return self._is_given_up

    def may_commit(self) -> bool:
        """Begin the commit, unless the work was given up."""
        with self._lock:
            self._is_committing = not self._is_given_up
            return self._is_committing

    def withhold_commit(self) -> None:
        """The commit was called off: it will begin anew."""
        with self._lock:
            self._is_committing = False

    @property
    def is_given_up(self) -> bool:
        """Does nobody want it any more?"""
        return self._is_given_up

    def finish(self, result: T) -> None:
        """Give the caller the result, if it still waits."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give the caller an error, if it still waits."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)


AnyJob = Job[Any]
