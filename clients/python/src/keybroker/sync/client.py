"""The client for threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar, Unpack

from keybroker import address as addresses
from keybroker.ask import Ask, Wishes
from keybroker.calling import Calling, Limits, Served
from keybroker.holding import Holding
from keybroker.leasing import Terms, acquire
from keybroker.news import Board
from keybroker.record import CallRecord
from keybroker.sync.driver import Driver
from keybroker.sync.hold import Hold, watch
from keybroker.sync.lease import Lease, lent

T = TypeVar("T")

CLOSING_S: Final = 1.0
"""How long closing waits for the thread that listens."""


class Client:
    """A broker's client: make one per process, use it from all threads, close it.

    What is not given is read from KEYBROKER_ADDRESS, KEYBROKER_TOKEN and KEYBROKER_CA. `timeout` is
    how long one call to the broker may take, in seconds, with its retries. Raises SettingError.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        ca: str | Path | None = None,
        tls: bool | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._driver = Driver(addresses.find(address, token, ca, tls=tls))
        self._terms = Terms(timeout)
        self._board = Board()
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._driver.address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; leases that are still in use run out by themselves."""
        self._driver.close()
        if self._watch is not None:
            self._watch.join(CLOSING_S)

    @contextmanager
    def lease(
        self, provider: str, model: str, *, wait: float = 0.0, **wishes: Unpack[Wishes]
    ) -> Iterator[Lease]:
        """A lease for one request; see AsyncClient.lease. Raises Denied and BrokerError."""
        self._driver.line.check_open()
        ask = Ask.of(provider, model, **wishes)
        grant = self._driver.run(acquire(ask, wait, self._terms))
        with lent(CallRecord(grant, ask, self._terms), self._driver) as lease:
            yield lease

    def hold(
        self,
        provider: str,
        model: str,
        *,
        concurrency: int = 1,
        wait: float = 0.0,
        **wishes: Unpack[Wishes],
    ) -> Hold:
        """A lease for many requests, `concurrency` of them at one time; see AsyncClient.hold."""
        self._driver.line.check_open()
        with self._lock:
            if self._watch is None:
                self._watch = threading.Thread(
                    target=watch,
                    args=(self._driver, self._board),
                    name="keybroker-watch",
                    daemon=True,
                )
                self._watch.start()
        ask = Ask.of(provider, model, concurrency, **wishes)
        return Hold(Holding(ask, wait, self._terms, self._board), concurrency, self._driver)

    def call(
        self,
        run: Callable[[Lease], T],
        provider: str,
        model: str,
        *,
        timeout: float | None = 300.0,
        max_attempts: int = 5,
        wait: float = 0.0,
        can_replay: bool = False,
        **wishes: Unpack[Wishes],
    ) -> Served[T]:
        """Run `run(lease)` as the broker advises; see AsyncClient.call.

        A thread cannot be interrupted: give the HTTP client `lease.time_left` as its timeout.
        """
        self._driver.line.check_open()
        limits = Limits(timeout, max_attempts, wait, can_replay)
        calling = Calling[T](Ask.of(provider, model, **wishes), limits, self._terms)
        return self._driver.run(calling.steps(), lambda record: run(Lease(record, self._driver)))
