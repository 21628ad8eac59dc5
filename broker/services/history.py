"""Reading back what was told, so that a restart tells nothing twice."""

from collections.abc import AsyncIterator

from broker.ports.event_history import Event, EventHistory

PAGE = 500
MAX_PAGES = 200
"""Events read back at most: what lies further back is told again rather than searched for."""


async def told(
    history: EventHistory, kinds: frozenset[str] = frozenset(), since: float = 0.0
) -> AsyncIterator[Event]:
    """The events of some kinds, the latest first. Raises StoreUnavailableError."""
    before = None
    for _ in range(MAX_PAGES):
        events, before = await history.page(before=before, limit=PAGE, kinds=kinds, since=since)
        for event in events:
            yield event
        if before is None:
            return
