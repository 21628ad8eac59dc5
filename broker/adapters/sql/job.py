"""Work for a database thread, and how a caller waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from broker.ports.errors import StoreUnavailableError

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work within a transaction, which its caller waits for so long.

    It is either given up before its commit begins, and then not made, or its commit decides. The
    last `commit_s` of the time are for a commit that is under way.
    """

    def __init__(
        self, work: Callable[[Connection], T], within_s: float, commit_s: float = 0.0
    ) -> None:
        self.work = work
        self.ends = time.monotonic() + within_s
        self.done: Future[T] = Future()
        self._within_s = within_s
        self._commit_s = commit_s
        self._lock = threading.Lock()
        self._is_given_up = False
        self._is_committing = False

    async def wait(self) -> T:
        """The work's result, or what it raised; StoreUnavailableError when it takes too long."""
        done = asyncio.wrap_future(self.done)
        try:
            await asyncio.wait({done}, timeout=self._left_s() - self._commit_s)
            if not done.done() and not self.give_up():
                await asyncio.wait({done}, timeout=self._left_s())
        except asyncio.CancelledError:
            self.give_up()
            raise
        finally:
            if not done.done():
                done.cancel()
        if done.cancelled():
            raise StoreUnavailableError(f"the database did not answer within {self._within_s:g} s")
        return done.result()

    def give_up(self) -> bool:
        """Leave the work unmade, unless its commit has begun."""
        with self._lock:
            self._is_given_up = not self._is_committing
            return self._is_given_up

    def may_commit(self) -> bool:
        """Begin the commit, unless the work was given up."""
        with self._lock:
            self._is_committing = not self.is_given_up
            return self._is_committing

    def withhold_commit(self) -> None:
        """The commit was called off: it will begin anew."""
        with self._lock:
            self._is_committing = False

    @property
    def is_given_up(self) -> bool:
        """Does nobody want it any more?"""
        return self._is_given_up or self.done.cancelled()

    @property
    def is_committing(self) -> bool:
        """Has its commit begun?"""
        return self._is_committing

    def finish(self, result: T) -> None:
        """Give the caller the result, if it still waits."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give the caller an error, if it still waits."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)

    def _left_s(self) -> float:
        return max(self.ends - time.monotonic(), 0.0)


AnyJob = Job[Any]
