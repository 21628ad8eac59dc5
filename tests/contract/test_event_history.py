"""What every history of events promises."""

from collections.abc import AsyncIterator

import pytest

from broker.ports.event_history import Event, EventHistory
from tests.contract.adapters import EVENT_HISTORIES
from tests.fakes import START


@pytest.fixture(params=EVENT_HISTORIES)
async def history(request: pytest.FixtureRequest) -> AsyncIterator[EventHistory]:
    async with EVENT_HISTORIES[request.param]() as history:
        yield history


def event(number: int, *, provider: str = "openai", kind: str = "key_quarantined") -> Event:
    return Event(f"e{number}", START + number, kind, provider, "what happened")


async def read_all(
    history: EventHistory, limit: int, kinds: frozenset[str] = frozenset()
) -> list[list[str]]:
    pages = []
    cursor = None
    while True:
        page, cursor = await history.page(before=cursor, limit=limit, kinds=kinds)
        pages.append([event.event_id for event in page])
        if cursor is None:
            return pages


async def test_an_empty_history_has_one_empty_page(history: EventHistory) -> None:
    assert await history.page(before=None, limit=10) == ([], None)


async def test_an_event_comes_back_as_it_was_recorded(history: EventHistory) -> None:
    recorded = Event(
        "e1",
        START,
        "key_disabled",
        "openai",
        "disabled by hand",
        key_id="openai/1",
        model="gpt-4o",
        principal="alice",
        attributes={"reason": "leaked"},
    )
    history.record(recorded)
    assert await history.page(before=None, limit=10) == ([recorded], None)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_pages_hold_every_event_once_newest_first(history: EventHistory, limit: int) -> None:
    for number in range(7):
        history.record(event(number))
    pages = await read_all(history, limit)
    assert [event_id for page in pages for event_id in page] == [
        f"e{number}" for number in reversed(range(7))
    ]
    assert all(len(page) <= limit for page in pages)


async def test_the_last_page_has_no_cursor_even_when_it_is_full(history: EventHistory) -> None:
    for number in range(4):
        history.record(event(number))
    assert await read_all(history, limit=2) == [["e3", "e2"], ["e1", "e0"]]


async def test_a_cursor_stays_true_while_events_are_added(history: EventHistory) -> None:
    for number in range(4):
        history.record(event(number))
    _, cursor = await history.page(before=None, limit=2)
    history.record(event(4))
    page, _ = await history.page(before=cursor, limit=2)
    assert [event.event_id for event in page] == ["e1", "e0"]


async def test_a_page_has_only_events_that_pass_every_filter(history: EventHistory) -> None:
    history.record(event(0))
    history.record(event(1, provider="anthropic"))
    history.record(event(2, kind="incident_opened"))
    history.record(event(3))
    page, cursor = await history.page(
        before=None,
        limit=5,
        provider="openai",
        kinds=frozenset({"key_quarantined"}),
        since=START + 1.0,
    )
    assert ([event.event_id for event in page], cursor) == (["e3"], None)


async def test_filtered_events_fill_no_page_and_make_no_cursor(history: EventHistory) -> None:
    for number in range(10):
        history.record(event(number, kind="a" if number % 3 else "b"))
    assert await read_all(history, limit=2, kinds=frozenset("b")) == [["e9", "e6"], ["e3", "e0"]]
