"""What was asked of the simulator, without one secret."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from simulator.words import RouteKind

MAX_CALLS: Final = 200_000
"""The oldest calls are forgotten beyond this many."""


@dataclass(slots=True)
class Call:
    """One request to a provider; `at` is in the simulator clock's seconds.

    `key` is a label. `status` is None until the status line is sent, and stays None when none
    ever is. `kind` is None for a path the dialect does not have.
    """

    at: float
    dialect: str
    key: str
    model: str
    path: str
    kind: RouteKind | None = None
    status: int | None = None


class Ledger:
    """The calls in the order of arrival."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MAX_CALLS)

    def record(self, call: Call) -> None:
        """Keep a call that has just arrived."""
        self._calls.append(call)

    def calls(self, key: str | None = None) -> list[Call]:
        """All calls, or those of one key's label."""
        return [call for call in self._calls if key in (None, call.key)]

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()
