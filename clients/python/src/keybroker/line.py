"""The line to the broker: a channel, and another one when its replica says that it is draining."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from keybroker.errors import ClientClosedError

C = TypeVar("C")


@dataclass(slots=True, eq=False)
class Wire(Generic[C]):
    """One channel, its stub, and how many calls are under way on it."""

    channel: C
    stub: Any
    users: int = 0
    is_retired: bool = False


class Line(Generic[C]):
    """Lends the channel to calls; `connect` makes one with its stub. Safe to use from threads.

    The channel is made at the first call, so that a client may be made before a fork, and where no
    event loop runs yet. What is to be closed is handed out: closing is I/O.
    """

    def __init__(self, connect: Callable[[], tuple[C, Any]]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._wire: Wire[C] | None = None
        self._process = 0
        self._is_over = False
        self.closed = threading.Event()

    def check_open(self) -> None:
        """Raise ClientClosedError when this line cannot be used, here or at all."""
        if self.closed.is_set():
            raise ClientClosedError("the client is closed: make another one")
        if self._process and self._process != os.getpid():
            raise ClientClosedError("gRPC does not survive a fork: make a client in each process")

    def borrow(self) -> Wire[C]:
        """The channel for one call: give it back. Raises ClientClosedError at the very end."""
        with self._lock:
            if self._is_over:
                raise ClientClosedError("the client is closed")
            if self._wire is None:
                self._wire = Wire(*self._connect())
                self._process = os.getpid()
            self._wire.users += 1
            return self._wire

    def give_back(self, wire: Wire[C]) -> C | None:
        """One call less; the channel, when it is to be closed now."""
        with self._lock:
            wire.users -= 1
            return wire.channel if wire.is_retired and not wire.users else None

    def retire(self, wire: Wire[C]) -> None:
        """Let new calls have another connection; those under way keep theirs."""
        with self._lock:
            wire.is_retired = True
            if self._wire is wire:
                self._wire = None

    def close(self) -> None:
        """Take no new callers: `check_open` says so to them."""
        self.closed.set()

    def hang_up(self) -> C | None:
        """The channel to close at the very end."""
        with self._lock:
            self._is_over = True
            wire, self._wire = self._wire, None
            return wire.channel if wire else None
