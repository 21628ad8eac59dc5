"""A log of which something cannot be read: nothing is lost that something else stands for."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.adapters.sql import last_logged_at
from broker.ports.errors import StoreUnusableError
from tests.fakes import FakeClock
from tests.integration.sql.disturbing import opened
from tests.integration.sql.log_given import a_life, append, change, entries, save


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_damaged_snapshot_is_made_up_for_by_the_one_before(
    path: Path, clock: FakeClock
) -> None:
    async with a_life(path, clock) as log:
        await append(log, *"ab")
        older = await save(log, clock, 1)
        clock.advance(3600.0)
        (later,) = await append(log, "c")
        await save(log, clock, 3)
    await change(path, "UPDATE snapshots SET record = '{\"v\": 99}' WHERE position = 3")
    async with a_life(path, clock) as log:
        with capture_logs() as logs:
            assert await log.snapshot("openai") == older
        assert [entry.fact.fact_id for entry in await entries(log, older.position)] == ["b", "c"]
        assert later.position == 3
    (line,) = logs
    assert (line["event"], line["position"]) == ("snapshot_unreadable", 3)
    assert line["detail"] == "its version is 99, and this one reads 1"


@pytest.mark.parametrize("record", ["{", "[]", '{"v": 1, "type": "mood"}', ""])
async def test_a_log_that_is_whole_needs_no_snapshot(
    path: Path, clock: FakeClock, record: str
) -> None:
    async with a_life(path, clock) as log:
        await append(log, *"ab")
        await save(log, clock, 2)
    await change(path, f"UPDATE snapshots SET record = '{record}'")  # noqa: S608
    async with a_life(path, clock) as log:
        assert await log.snapshot("openai") is None
        assert len(await entries(log)) == 2


async def test_a_snapshot_of_another_place_is_no_snapshot(path: Path, clock: FakeClock) -> None:
    async with a_life(path, clock) as log:
        await append(log, *"ab")
        await save(log, clock, 2)
    await change(path, "UPDATE snapshots SET position = 1")
    async with a_life(path, clock) as log:
        assert await log.snapshot("openai") is None


async def test_health_that_is_lost_is_for_a_person_to_give_up(path: Path, clock: FakeClock) -> None:
    """Nothing stands for the facts that were trimmed: no start as if all keys were healthy."""
    async with a_life(path, clock) as log:
        await append(log, *"abc")
        for position in (1, 2):
            clock.advance(3600.0)
            await save(log, clock, position)
    await change(path, "UPDATE snapshots SET record = ''")
    async with a_life(path, clock) as log:
        with pytest.raises(
            StoreUnusableError, match="the health of openai cannot be read"
        ) as caught:
            await log.snapshot("openai")
        assert "delete its rows from the tables snapshots, facts and log_heads" in str(caught.value)
        assert await log.snapshot("anthropic") is None
    await change(path, "DELETE FROM snapshots")
    await change(path, "DELETE FROM facts")
    async with a_life(path, clock) as log:
        assert await log.snapshot("openai") is None


@pytest.mark.parametrize(
    ("column", "value", "detail"),
    [
        ("record", '\'{"v": 1, "type": "mood"}\'', "its type 'mood' is unknown"),
        ("record", "x'00'", "it is no JSON"),
        ("age_s", "'old'", "it is damaged"),
    ],
)
async def test_a_fact_that_cannot_be_read_is_left_out_and_told_of(
    path: Path, clock: FakeClock, column: str, value: str, detail: str
) -> None:
    async with a_life(path, clock) as log:
        await append(log, *"abc")
    await change(path, f"UPDATE facts SET {column} = {value} WHERE position = 2")  # noqa: S608
    async with a_life(path, clock) as log:
        with capture_logs() as logs:
            assert [entry.position for entry in await entries(log)] == [1, 3]
        assert (await append(log, "d"))[0].position == 4
    (line,) = logs
    assert (line["event"], line["position"], line["detail"]) == ("fact_unreadable", 2, detail)


@pytest.mark.parametrize("at", ["9e999", "1e300", "'later'"])
async def test_the_clock_began_at_a_time_that_no_calendar_has(
    path: Path, clock: FakeClock, at: str
) -> None:
    """A row's damage ended the start as a bug, or every call with one."""
    async with a_life(path, clock) as log:
        first, _ = await append(log, *"ab")
    await change(path, f"UPDATE facts SET at = {at} WHERE position = 2")  # noqa: S608
    async with opened(path) as database:
        assert await last_logged_at(database) == first.at
    async with a_life(path, clock) as log:
        assert [entry.fact.fact_id for entry in await entries(log)] == ["a"]
        (next_one,) = await append(log, "c")
        assert next_one.position == 3, "its place is taken all the same"
