"""What only the history in memory does: it forgets the oldest."""

from broker.adapters.memory import MemoryEventHistory
from broker.ports.event_history import Event
from tests.fakes import START


async def test_a_full_ring_forgets_the_oldest_and_cursors_stay_true() -> None:
    history = MemoryEventHistory(max_events=3)
    for number in range(3):
        history.record(Event(f"e{number}", START, "kind", "openai", ""))
    page, cursor = await history.page(before=None, limit=1)
    history.record(Event("e3", START, "kind", "openai", ""))
    history.record(Event("e4", START, "kind", "openai", ""))
    assert [event.event_id for event in page] == ["e2"]
    page, cursor = await history.page(before=cursor, limit=1)
    assert (page, cursor) == ([], None)
