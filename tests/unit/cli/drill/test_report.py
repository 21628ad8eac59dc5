"""The report of a drill: what people and programs read of it."""

import json
from dataclasses import replace

import pytest

from broker.cli.drill.figures import Figure
from broker.cli.drill.reckoning import reckon
from broker.cli.drill.record import Entry, Record, Told
from broker.cli.drill.report import as_json, as_markdown, timeline
from tests.unit.cli.drill.given import (
    BAD,
    FIRST,
    SETUP,
    bogus_story,
    denied,
    restart_story,
    revoked_story,
    told,
)

COMMAND = "keybroker drill rotation --rate 50"


def markdown(entries: list[Entry]) -> str:
    record = Record.of(entries)
    return as_markdown(record, reckon(record), COMMAND, "plot.svg")


def test_it_tells_the_fields_account_beside_its_own_figures() -> None:
    shown = markdown(revoked_story())
    assert "| revoked → quarantined | 86 s | 0.30 s |" in shown
    assert "| revoked → every call served again | 4 min | 5.70 s |" in shown
    assert "![" in shown
    assert "(plot.svg)" in shown
    assert f"$ {COMMAND}\n" in shown
    assert "| database | PostgreSQL 15.4 |" in shown


def test_a_promise_that_was_kept_and_one_that_was_missed_look_different() -> None:
    good, bad = markdown(bogus_story()), markdown([*bogus_story(), denied(12.0, "untenanted")])
    assert "A bogus secret is pushed over a working one: kept" in good
    assert "| calls that were not served | 0 | 0 | ✓ |" in good
    assert "A bogus secret is pushed over a working one: MISSED" in bad
    assert "| calls that were not served | 0 | 1 | ✗ |" in bad
    assert "| untenanted | 91 | 90 | 1 | 0 | 0 |" in bad


def test_programs_learn_the_same() -> None:
    record = Record.of(revoked_story())
    shown = json.loads(json.dumps(as_json(record, reckon(record), COMMAND)))
    assert shown["kept"] is True
    [story] = shown["stories"]
    assert story["story"] == "c"
    assert story["figures"]["recovery_s"] == {
        "label": "good secret readable → every call served again",
        "value": pytest.approx(1.6),
        "unit": "s",
        "at_most": 2.0,
        "at_least": None,
        "kept": True,
    }
    assert story["figures"]["denied"]["kept"] is None
    assert story["calls"]["own key"]["failed"] == 0


def test_a_report_of_nothing_promises_nothing() -> None:
    assert "**0 of 0 promises kept.**" in markdown([SETUP])
    assert as_json(Record.of([SETUP]), [], COMMAND)["stories"] == []


def test_the_timeline_tells_what_was_done_and_what_followed_in_its_order() -> None:
    whats = [what for _, what, _ in timeline(Record.of(restart_story()))]
    assert whats == [
        *("drill", "drill", "revision_rejected", "drill", "drill", "drill", "revision_adopted")
    ]
    texts = " ".join(text for _, _, text in timeline(Record.of(revoked_story())))
    assert f"the provider rejects the key from now on (revision {FIRST})" in texts


def test_what_the_brokers_say_stays_in_its_cell() -> None:
    """A message is made of names that somebody chose."""
    evil = replace(told(12.5, "revision_rejected", BAD), message="a | b\n| c <script> [x](y) `z`")
    shown = markdown([*bogus_story(), evil])
    assert "a \\| b \\| c \\<script> \\[x](y) \\`z\\`" in shown


def test_events_that_say_nothing_of_the_story_are_left_out() -> None:
    noise = Told(13.0, "n", "daily_report", "all is well")
    before = Told(-5.0, "b", "revision_adopted", "of another drill")
    shown = markdown([*bogus_story(), noise, before])
    assert "all is well" not in shown
    assert "of another drill" not in shown


@pytest.mark.parametrize(
    ("figure", "promised", "shown", "is_kept"),
    [
        (Figure("n", "l", 0, at_most=0), "0", "0", True),
        (Figure("n", "l", 1.234, "s", at_most=2.0), "≤ 2 s", "1.23 s", True),
        (Figure("n", "l", 2.01, "s", at_most=2.0), "≤ 2 s", "2.01 s", False),
        (Figure("n", "l", 1, at_least=2), "≥ 2", "1", False),
        (Figure("n", "l", 1, at_least=1, at_most=1), "1", "1", True),
        (Figure("n", "l", None, "s", at_most=2.0), "≤ 2 s", "never", False),
        (Figure("n", "l", None, "s"), "", "never", True),
        (Figure("n", "l", 12345), "", "12345", True),
    ],
)
def test_a_figure_and_its_promise_read_as_people_write_them(
    figure: Figure, promised: str, shown: str, *, is_kept: bool
) -> None:
    assert (figure.promised, figure.shown, figure.is_kept) == (promised, shown, is_kept)
