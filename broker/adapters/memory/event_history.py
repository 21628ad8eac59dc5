"""The latest events, in a ring that forgets the oldest."""

from collections import deque

from broker.ports.event_history import Event

MAX_EVENTS = 10_000
"""Events kept; about 1 KiB each."""


class MemoryEventHistory:
    """The newest events of this process; a cursor is the number of the last event it passed."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._events: deque[tuple[int, Event]] = deque(maxlen=max_events)
        self._recorded = 0

    def record(self, event: Event) -> None:
        """Keep an event, forgetting the oldest when the ring is full."""
        self._recorded += 1
        self._events.append((self._recorded, event))

    async def page(
        self,
        *,
        before: int | None,
        limit: int,
        provider: str = "",
        kinds: frozenset[str] = frozenset(),
        since: float = 0.0,
    ) -> tuple[list[Event], int | None]:
        """One page; the cursor stays true while events are added and forgotten."""
        page: list[Event] = []
        cursor = None
        for number, event in reversed(self._events):
            if before is not None and number >= before:
                continue
            if (provider and event.provider != provider) or event.at < since:
                continue
            if kinds and event.kind not in kinds:
                continue
            if len(page) == limit:
                return page, cursor
            page.append(event)
            cursor = number
        return page, None
