"""One report a day: what it says, when it comes, and that it comes once."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from structlog.testing import capture_logs

from broker.core.outcome import Outcome
from broker.core.policy import DAY_S, HOUR_S
from broker.ports.event_history import Event
from broker.services.lookout import WatchRules
from tests.fakes import START
from tests.unit.services.answers import BAD_REQUEST, EXHAUSTED, FAULT, OK
from tests.unit.services.house import REJECTED, House
from tests.unit.services.lookout_given import (
    QUIET,
    FlickeringHistory,
    a_lookout,
    look_out,
    restarted,
    told,
)
from tests.unit.services.status_given import a_key

AT_EIGHT = replace(QUIET, daily_report_at=time(8))
A, B = a_key("a"), a_key("b")

UNHEARD_OF = Outcome(http_status=302)
"""No rule knows what it means."""


async def until(house: House, hour: int, minute: int = 0, *, days: int = 0) -> None:
    """Let time pass until it is so late, that many midnights from now."""
    now = datetime.fromtimestamp(house.clock.now(), UTC)
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0) + timedelta(days=days)
    house.clock.set(then.timestamp() - 1)
    await look_out(house)


async def reports(house: House) -> list[str]:
    """When there was a report: the day of June and the hour."""
    events = await told(house, "daily_report")
    return [datetime.fromtimestamp(event.at, UTC).strftime("%d %H:%M") for event in events]


async def the_report(house: House) -> Event:
    await until(house, 8, days=1)
    await look_out(house, 1)
    (event,) = await told(house, "daily_report")
    return event


# --- When -------------------------------------------------------------------------------------


async def test_it_comes_every_day_at_its_hour() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await look_out(house, 3 * DAY_S, step_s=60)
    assert await reports(house) == ["16 08:00", "17 08:00", "18 08:00"]


async def test_there_is_none_without_an_hour() -> None:
    house = await a_lookout(A, rules=QUIET)
    await look_out(house, 2 * DAY_S, step_s=HOUR_S)
    assert await reports(house) == []


async def test_a_new_broker_makes_none_for_a_time_before_it_was_there() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await until(house, 9, days=1)
    house = await a_lookout(A, rules=AT_EIGHT)
    await look_out(house, 10)
    assert await reports(house) == []


async def test_a_restart_within_the_day_makes_no_second_one() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await until(house, 7, 59, days=1)
    await look_out(house, 62)
    for _ in range(3):
        house = await restarted(house)
        await look_out(house, 60)
    assert await reports(house) == ["16 08:00"]
    await until(house, 9, days=1)
    assert await reports(house) == ["16 08:00", "17 08:59"]


async def test_a_broker_that_was_down_at_the_hour_makes_it_late_and_once() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await look_out(house, 60)
    await house.core.health.close()
    house.clock.set(datetime(2025, 6, 16, 11, tzinfo=UTC).timestamp())
    for _ in range(2):
        house = await restarted(house)
        await look_out(house, 60)
    assert await reports(house) == ["16 11:00"]
    await look_out(house, DAY_S, step_s=60)
    assert await reports(house) == ["16 11:00", "17 08:00"]


async def test_a_day_that_was_missed_whole_is_not_made_up_for_twice() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await look_out(house, DAY_S, step_s=60)
    house.clock.advance(3 * DAY_S)
    house = await restarted(house)
    await look_out(house, 60)
    assert len(await reports(house)) == 2


async def test_it_waits_for_a_history_that_cannot_be_read() -> None:
    history = FlickeringHistory()
    house = await restarted(await a_lookout(A, rules=AT_EIGHT), history=history)
    await look_out(house, 1)
    history.is_off = True
    with capture_logs() as logs:
        await until(house, 8, days=1)
        await look_out(house, 60)
    assert [line["event"] for line in logs].count("daily_report_waits") == 1
    history.is_off = False
    await look_out(house, 60)
    assert await reports(house) == ["16 08:01"]


# --- What -------------------------------------------------------------------------------------


async def test_it_says_how_the_keys_are_and_what_the_day_brought() -> None:
    soon = datetime.fromtimestamp(START, UTC) + timedelta(days=3)
    house = await a_lookout(A, B, a_key("g", "groq", expires_at=soon), rules=AT_EIGHT)
    house.prober.will_find("a", REJECTED)
    house.prober.will_find("b", REJECTED)
    async for _ in house.core.probing.probe_now([A, B]):
        pass
    await house.refused()
    house.clock.advance(60)
    async for _ in house.core.probing.probe_now([B]):
        pass
    house.clock.advance(60)
    await house.call(UNHEARD_OF)
    event = await the_report(house)
    attributes = event.attributes
    assert event.provider == ""
    assert attributes["day"] == "2025-06-16"
    assert json.loads(attributes["keys_by_state"]) == {
        "groq": {"healthy": 1},
        "openai": {"healthy": 1, "quarantined": 1},
    }
    assert (attributes["quarantines"], attributes["recoveries"]) == ("2", "1")
    assert json.loads(attributes["denials"]) == {"QUARANTINED": 1}
    assert json.loads(attributes["unknown_verdicts"]) == {"openai": 1}
    assert json.loads(attributes["expiring_keys"]) == {"g": "ahead"}
    assert "openai: 1 healthy, 1 quarantined" in event.message
    assert "2 quarantined and 1 recovered in 24 h" in event.message
    assert "1 denials in 16 h" in event.message
    assert "1 keys expire soon, 0 have expired" in event.message
    assert "1 answers that no rule knows" in event.message


async def test_what_is_older_than_a_day_is_not_in_it() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await house.call(EXHAUSTED)
    await house.refused()
    await until(house, 8, days=1)
    await until(house, 8, days=1)
    await look_out(house, 1)
    event = (await told(house, "daily_report"))[-1]
    assert json.loads(event.attributes["denials"]) == {}
    assert event.attributes["quarantines"] == "0"


async def test_it_tells_the_uptime_of_upstreams_that_had_an_outage() -> None:
    house = await a_lookout(A, rules=AT_EIGHT)
    await until(house, 2, days=1)
    await house.calls(10, FAULT)
    house.clock.advance(6 * 60)
    await house.call(OK)
    house.clock.advance(20)
    await until(house, 8)
    await look_out(house, 1)
    (event,) = await told(house, "daily_report")
    ((name, share),) = json.loads(event.attributes["uptime"]).items()
    assert name == "openai/gpt-4o"
    assert share == pytest.approx(1 - 360 / DAY_S, abs=1e-5)
    assert "uptime openai/gpt-4o 99.58%" in event.message


async def test_its_lists_are_bounded() -> None:
    soon = datetime.fromtimestamp(START, UTC) + timedelta(days=3)
    keys = [a_key(f"k{number:03}", expires_at=soon) for number in range(100)]
    house = await a_lookout(*keys, rules=AT_EIGHT)
    event = await the_report(house)
    assert len(json.loads(event.attributes["expiring_keys"])) == 20
    assert event.attributes["expiring_key_count"] == "100"
    assert all(len(value) < 4096 for value in event.attributes.values())


async def test_a_quiet_day_is_told_in_few_words() -> None:
    house = await a_lookout(A, rules=WatchRules(sentinel_s=0.0, daily_report_at=time(8)))
    await house.call(BAD_REQUEST)
    event = await the_report(house)
    assert event.message == (
        "openai: 1 healthy; 0 quarantined and 0 recovered in 24 h; 0 denials in 16 h 53 min"
    )
