"""The file that a drill leaves: what was written is read, and nothing else is taken for it."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cli.drill.record import Entry, Record, Recorder
from tests.unit.cli.drill.given import SETUP, bogus_story, restart_story, revoked_story

STORIES = (bogus_story, restart_story, revoked_story)


def written(entries: list[Entry]) -> str:
    file = io.StringIO()
    recorder = Recorder(file)
    for entry in entries:
        recorder.write(entry)
    return file.getvalue()


@pytest.mark.parametrize("story", STORIES)
def test_what_was_written_is_read(tmp_path: Path, story: object) -> None:
    assert callable(story)
    entries: list[Entry] = story()
    path = tmp_path / "record.jsonl"
    path.write_text(written(entries))
    assert Record.read(path) == Record.of(entries)


@given(st.permutations(bogus_story()))
def test_entries_are_read_in_the_order_of_their_instants(entries: list[Entry]) -> None:
    record = Record.of(entries)
    for some in (record.calls, record.deeds, record.views, record.told):
        instants = [entry.at for entry in some]
        assert instants == sorted(instants)


@pytest.mark.parametrize("entries", [[], [SETUP, SETUP]], ids=["none", "two"])
def test_a_record_has_one_setup(entries: list[Entry]) -> None:
    with pytest.raises(ValueError, match="one setup"):
        Record.of(entries)


def test_the_clock_of_a_record_starts_at_zero_and_goes_on() -> None:
    recorder = Recorder(io.StringIO())
    first = recorder.now()
    assert 0.0 <= first <= recorder.now() < 1.0
