"""What happened, for people: the history behind ListEvents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """Something an operator may want to know; `at` is epoch seconds, no field holds a secret."""

    event_id: str
    at: float
    kind: str
    provider: str
    message: str
    key_id: str = ""
    model: str = ""
    principal: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


class EventHistory(Protocol):
    """Events in the order they were recorded, newest kept."""

    def record(self, event: Event) -> None:
        """Keep an event; does not block, never raises, may forget the oldest."""
        ...

    async def page(
        self,
        *,
        before: int | None,
        limit: int,
        provider: str = "",
        kinds: frozenset[str] = frozenset(),
        since: float = 0.0,
    ) -> tuple[list[Event], int | None]:
        """Up to `limit` events, newest first, older than the cursor `before`; and the next one.

        The cursor is None when there are no more. Raises StoreUnavailableError.
        """
        ...
