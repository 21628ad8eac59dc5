"""What only a history on a disk does: it is kept over restarts, for as long as it should be."""

from pathlib import Path

from structlog.testing import capture_logs

from broker.adapters.sql import Database, SqlEventHistory
from broker.adapters.sql.event_history import PRUNE_ROWS
from broker.ports.event_history import Event, EventHistory
from tests.fakes import START, FakeClock, eventually
from tests.integration.sql.conftest import Victim
from tests.integration.sql.sql_given import an_event, rows_of


async def ids(history: EventHistory, limit: int = 10_000) -> list[str]:
    page, _ = await history.page(before=None, limit=limit)
    return [event.event_id for event in page]


async def test_events_are_there_after_a_restart(path: Path, database: Database) -> None:
    history = SqlEventHistory(database, FakeClock())
    for number in range(3):
        history.record(an_event(number))
    await history.close()
    await database.close()
    again = await Database.open(path)
    history = SqlEventHistory(again, FakeClock())
    history.record(an_event(3))
    assert await ids(history) == ["e3", "e2", "e1", "e0"]
    await again.close()


async def test_recording_is_one_commit_for_many_and_blocks_nobody(database: Database) -> None:
    history = SqlEventHistory(database, FakeClock())
    for number in range(2_000):
        history.record(an_event(number))
    assert len(await ids(history)) == 2_000


async def test_old_events_are_not_shown_and_then_forgotten(path: Path, database: Database) -> None:
    clock = FakeClock()
    history = SqlEventHistory(database, clock, keep_s=3600.0)
    for number in range(PRUNE_ROWS * 2 + 10):
        history.record(an_event(number))
    await ids(history)
    clock.advance(3600.0 + PRUNE_ROWS * 2)
    assert len(await ids(history)) == 10
    for number in range(PRUNE_ROWS):
        history.record(an_event(10_000 + number))
    await ids(history)
    await eventually(lambda: len(rows_of(path)["events"]) == PRUNE_ROWS + 10)


async def test_of_too_many_events_the_oldest_are_forgotten(path: Path, database: Database) -> None:
    history = SqlEventHistory(database, FakeClock(), keep_rows=100)
    for number in range(3 * PRUNE_ROWS):
        history.record(an_event(number))
    await ids(history)
    await eventually(lambda: len(rows_of(path)["events"]) <= 100 + PRUNE_ROWS)
    assert (await ids(history, limit=1)) == [f"e{3 * PRUNE_ROWS - 1}"]


async def test_a_cursor_stays_true_when_all_it_knew_is_forgotten(database: Database) -> None:
    clock = FakeClock()
    history = SqlEventHistory(database, clock, keep_s=10.0)
    for number in range(4):
        history.record(an_event(number))
    _, cursor = await history.page(before=None, limit=2)
    clock.advance(3600.0)
    for number in range(PRUNE_ROWS):
        history.record(Event(f"new{number}", clock.now(), "kind", "openai", "message"))
    await ids(history)
    assert await history.page(before=cursor, limit=2) == ([], None)


async def test_what_is_strange_in_an_event_comes_back(database: Database) -> None:
    """Callers invent models, and providers their messages."""
    strange = Event(
        "e", START, "kind", "openai", "a\0b \ud800 ☃", model="\0", attributes={"": "\n"}
    )
    history = SqlEventHistory(database, FakeClock())
    history.record(strange)
    assert await history.page(before=None, limit=1) == ([strange], None)


async def test_a_close_says_how_many_events_it_could_not_keep(database: Database) -> None:
    history = SqlEventHistory(database, FakeClock())
    await database.close()
    history.record(an_event(1))
    with capture_logs() as logs:
        await history.close()
    assert [(line["event"], line["events"]) for line in logs] == [("events_lost", 1)]


def test_what_was_shown_survives_a_kill(path: Path, victim: Victim) -> None:
    fate = victim.does("record", path, kill_at=100)
    assert fate.told == ["recorded"]
    assert len(rows_of(path)["events"]) == 5
