"""Held leases, for threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from keybroker.errors import KeybrokerError
from keybroker.holding import Holding
from keybroker.news import Board, pauses
from keybroker.sync.driver import Driver
from keybroker.sync.lease import Lease, lent


class Hold:
    """A lease for many requests, at most `places` at one time; replaced as its keys come and go.

    The first request acquires it; a daemon thread keeps it alive.
    """

    def __init__(self, holding: Holding, places: int, driver: Driver) -> None:
        self._holding = holding
        self._places = threading.BoundedSemaphore(places)
        self._acquiring = threading.Lock()
        self._driver = driver
        self._woken = threading.Event()
        self._is_over = False

    def __enter__(self) -> Self:
        self._holding.begin(self._woken.set)
        threading.Thread(target=self._keep_up, name="keybroker-hold", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._woken.set()
        for steps in self._holding.end():
            self._driver.farewell(steps)

    @contextmanager
    def lease(self, *, request_id: str = "") -> Iterator[Lease]:
        """The lease for one of the requests: report each. Raises Denied and BrokerError."""
        if not self._holding.is_begun:
            raise RuntimeError("enter the hold first: `with client.hold(...) as hold`")
        self._driver.line.check_open()
        with self._places:
            with self._acquiring:
                record, kept = self._driver.run(self._holding.record(request_id))
            try:
                with lent(record, self._driver) as lease:
                    yield lease
            finally:
                self._holding.leave(kept)

    def _keep_up(self) -> None:
        while True:
            self._woken.clear()
            if self._is_over:
                return
            for steps in self._holding.chores():
                self._driver.farewell(steps)
            self._woken.wait(self._holding.next_chore_in())


def watch(driver: Driver, board: Board) -> None:
    """Keep the board told, for as long as the client is open."""
    waits = pauses()
    while not driver.line.closed.is_set():
        try:
            driver.listen(board.hear)
        except KeybrokerError:
            waits = pauses() if board.is_live else waits
        finally:
            board.lost()
        driver.line.closed.wait(next(waits))
