"""What the daily report adds up: counts by the hour, spans without an upstream, spans in words."""

import pytest

from broker.ports.event_history import Event
from broker.services.outages import Outages
from broker.services.spans import in_words
from broker.services.tally import Tally
from tests.fakes import START, FakeClock

HOUR = 3600.0


# --- Counts -----------------------------------------------------------------------------------


def test_counts_are_those_of_the_last_day() -> None:
    clock = FakeClock()
    tally = Tally(clock)
    tally.denied("COOLING_DOWN")
    clock.advance(HOUR)
    for _ in range(2):
        tally.denied("QUARANTINED")
    tally.did_not_understand("openai")
    assert tally.denials() == {"QUARANTINED": 2, "COOLING_DOWN": 1}
    assert tally.unknown_verdicts() == {"openai": 1}
    assert tally.since == START
    clock.advance(23 * HOUR)
    assert tally.denials() == {"QUARANTINED": 2}
    assert tally.since == START
    clock.advance(HOUR)
    assert tally.denials() == {}
    assert tally.since == START + HOUR


def test_a_year_of_counting_holds_no_more_than_a_day() -> None:
    clock = FakeClock()
    tally = Tally(clock)
    for _ in range(24 * 365):
        tally.denied("COOLING_DOWN")
        clock.advance(HOUR)
    assert 23 <= tally.denials()["COOLING_DOWN"] <= 24


# --- Uptime -----------------------------------------------------------------------------------


def moved(at: float, before: str, after: str, model: str = "gpt", **said: str) -> Event:
    kind = "circuit_opened" if after == "open" else "circuit_reopened"
    attributes = {"scope": "upstream", "family": "health", "from": before, "to": after, **said}
    return Event("e", at, kind, "openai", "", model=model, attributes=attributes)


def uptime(*events: Event) -> dict[str, float]:
    """Of the span from 0 to 100, whatever the order the events are written in."""
    outages = Outages(0.0, 100.0)
    for event in sorted(events, key=lambda event: -event.at):
        outages.note(event)
    return outages.uptimes()


def test_an_outage_lasts_from_its_trip_to_its_reopening() -> None:
    events = moved(10, "closed", "open"), moved(30, "half_open", "ramping")
    assert uptime(*events) == {"openai/gpt": pytest.approx(0.8)}


def test_failed_trials_and_trips_while_ramping_are_parts_of_it() -> None:
    events = (
        moved(10, "closed", "open"),
        moved(20, "half_open", "open"),
        moved(30, "half_open", "ramping"),
        moved(40, "ramping", "open"),
        moved(50, "half_open", "ramping"),
    )
    assert uptime(*events) == {"openai/gpt": pytest.approx(0.7)}


def test_what_was_open_before_the_span_or_is_so_at_its_end_counts() -> None:
    assert uptime(moved(10, "half_open", "ramping"))["openai/gpt"] == pytest.approx(0.9)
    assert uptime(moved(90, "closed", "open"))["openai/gpt"] == pytest.approx(0.9)
    assert uptime(moved(10, "ramping", "closed"))["openai/gpt"] == 1.0


def test_upstreams_are_told_apart_and_the_worst_comes_first() -> None:
    events = moved(90, "closed", "open"), moved(50, "closed", "open", model="mini")
    assert list(uptime(*events)) == ["openai/mini", "openai/gpt"]


def test_other_circuits_are_no_outage() -> None:
    assert uptime(moved(10, "closed", "open", family="limit")) == {}
    assert uptime(moved(10, "closed", "open", scope="upstream_principal")) == {}


# --- Spans ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.6, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (90_061, "1 d 1 h"),
        (7 * 86_400, "7 d"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
