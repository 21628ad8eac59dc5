"""The picture of a drill, as numbers and as a file."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from broker.cli.drill.bands import QUARANTINED, Band, bands, marks, rates, revisions, spread
from broker.cli.drill.plot import draw
from broker.cli.drill.record import OWN_KEY, SYSTEM, Entry, Record, Result, View
from tests.unit.cli.drill.given import (
    BAD,
    FIRST,
    NEXT,
    SETUP,
    bogus_story,
    opened,
    restart_story,
    revoked_story,
)


def test_a_band_lasts_until_the_replica_shows_something_else() -> None:
    views: list[Entry] = [
        View(1.0, "replica-1", "healthy", {FIRST: "in_use"}),
        View(4.0, "replica-1", QUARANTINED, {FIRST: "in_use", NEXT: "incoming"}),
        View(5.0, "replica-1"),
        View(6.0, "replica-1", "healthy", {NEXT: "in_use"}),
    ]
    assert list(bands(Record.of([*bogus_story()[:3], *views]))) == [
        Band(FIRST, "replica-1", "in_use", 1.0, 4.0),
        Band(FIRST, "replica-1", QUARANTINED, 4.0, 5.0),
        Band(NEXT, "replica-1", "incoming", 4.0, 5.0),
        Band(NEXT, "replica-1", "in_use", 6.0, 20.0),
    ]


def test_revisions_are_named_by_the_role_of_their_secret() -> None:
    assert revisions(Record.of(bogus_story())) == {FIRST: "first", NEXT: "good"}


def test_calls_are_counted_where_they_were_asked_for() -> None:
    counted = rates(Record.of(revoked_story()), SYSTEM, 1.0)
    assert counted[Result.SERVED][10] == pytest.approx(10.0)
    assert counted[Result.FAILED][11] == pytest.approx(1.0)
    assert counted[Result.DENIED][13] == pytest.approx(10.0)
    assert sum(rates(Record.of(revoked_story()), OWN_KEY, 1.0)[Result.DENIED]) == 0


def test_marks_tell_each_thing_once() -> None:
    told = [mark.label for mark in marks(Record.of([*bogus_story(), opened(11.9, BAD)]))]
    assert told == ["bogus secret", "rejected", "good secret", "adopted"]
    told = [mark.label for mark in marks(Record.of(revoked_story()))]
    assert told == ["revoked", "quarantined", "good secret", "adopted"]


def test_labels_keep_their_order_and_a_distance() -> None:
    assert spread([1.0, 1.1, 5.0], 1.0) == [1.0, 2.0, 5.0]
    assert spread([], 1.0) == []


@pytest.mark.parametrize(
    "entries", [[SETUP], bogus_story(), restart_story(), revoked_story()], ids=["empty", *"abc"]
)
def test_every_record_can_be_drawn(tmp_path: Path, entries: list[Entry]) -> None:
    path = tmp_path / "drill.svg"
    draw(Record.of(entries), path)
    assert ET.fromstring(path.read_text()).tag.endswith("svg")  # noqa: S314 - made here
