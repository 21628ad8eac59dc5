"""What a drill's record comes to: every figure, and which promise it misses."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cli.drill.reckoning import GOOD, reckon
from broker.cli.drill.record import (
    OWN_KEY,
    SYSTEM,
    UNTENANTED,
    Call,
    Deed,
    Entry,
    Record,
    Result,
    Told,
    What,
)
from tests.unit.cli.drill.given import (
    BAD,
    FIRST,
    NEXT,
    SETUP,
    bogus_story,
    call,
    denied,
    figure,
    finding,
    restart_story,
    revoked_story,
    told,
)

STORIES = {"a": bogus_story, "b": restart_story, "c": revoked_story}


@pytest.mark.parametrize("story", STORIES)
def test_a_story_that_goes_as_it_should_keeps_every_promise(story: str) -> None:
    found = finding(STORIES[story]())
    assert found.story == story
    assert found.missed == []
    assert all(each.value is not None for each in found.figures)


@given(story=st.sampled_from(sorted(STORIES)), seed=st.integers())
def test_the_order_of_the_entries_does_not_matter(story: str, seed: int) -> None:
    entries = STORIES[story]()
    shuffled = Random(seed).sample(entries, len(entries))
    assert finding(shuffled).figures == finding(entries).figures


@given(story=st.sampled_from(sorted(STORIES)), shift=st.floats(0, 1e4))
def test_when_a_drill_began_does_not_matter(story: str, shift: float) -> None:
    def later(entry: Entry) -> Entry:
        if isinstance(entry, Call):
            tries = (
                replace(t, asked=t.asked + shift, at=t.at + shift, until=t.until + shift)
                for t in entry.tries
            )
            moved = replace(entry, tries=tuple(tries))
            return replace(moved, at=entry.at + shift, until=entry.until + shift)
        if isinstance(entry, Deed):
            return replace(entry, at=entry.at + shift, until=entry.until + shift)
        return entry if entry == SETUP else replace(entry, at=entry.at + shift)

    entries = STORIES[story]()
    moved = finding([later(entry) for entry in entries]).figures
    for before, after in zip(finding(entries).figures, moved, strict=True):
        assert after.value == pytest.approx(before.value, abs=1e-6)


@pytest.mark.parametrize("story", STORIES)
def test_a_story_in_which_nothing_happened_keeps_no_promise(story: str) -> None:
    found = finding([SETUP, Deed(0.0, 9.0, What.STORY, story)])
    assert not found.is_kept
    assert "calls" in {each.name for each in found.missed}


def test_a_story_that_was_not_played_to_its_end_is_not_told() -> None:
    entries = [e for e in bogus_story() if not (isinstance(e, Deed) and e.what is What.STORY)]
    assert reckon(Record.of(entries)) == []


def test_what_happened_outside_of_a_story_is_not_its() -> None:
    outside: list[Entry] = [
        call(5.0, SYSTEM, "replica-1", BAD, status=401),
        denied(25.0, OWN_KEY),
        told(25.0, "revision_rejected", BAD),
    ]
    assert finding([*bogus_story(), *outside]).figures == finding(bogus_story()).figures


@pytest.mark.parametrize("story", STORIES)
def test_a_call_with_a_key_of_somebody_else_is_found(story: str) -> None:
    stolen = call(12.0, OWN_KEY, "replica-1", "")
    [tried] = stolen.tries
    stolen = replace(stolen, tries=(replace(tried, provenance="system"),))
    found = figure([*STORIES[story](), stolen], "strangers")
    assert (found.value, found.is_kept) == (1, False)


# A bogus secret


@pytest.mark.parametrize("story", ["a", "b"])
@pytest.mark.parametrize(
    "bad",
    [
        denied(13.0, UNTENANTED),
        call(13.0, SYSTEM, "replica-1", FIRST, status=500),
        Call(13.0, 23.0, OWN_KEY, Result.BROKEN, "TimeoutError"),
    ],
    ids=["denied", "failed", "broken"],
)
def test_a_call_that_was_not_served_misses_the_promise(story: str, bad: Call) -> None:
    found = figure([*STORIES[story](), bad], "not_served")
    assert (found.value, found.is_kept) == (1, False)


@pytest.mark.parametrize("story", ["a", "b"])
def test_a_lease_on_the_bogus_secret_misses_the_promise_though_it_was_served(story: str) -> None:
    found = figure([*STORIES[story](), call(13.0, SYSTEM, "replica-2", BAD)], "leases_on_bogus")
    assert (found.value, found.is_kept) == (1, False)


def test_the_rejection_is_to_be_told_once() -> None:
    twice = [*bogus_story(), told(12.1, "revision_rejected", BAD)]
    assert not figure(twice, "rejections_told").is_kept
    never = [e for e in bogus_story() if not (isinstance(e, Told) and e.revision == BAD)]
    assert not figure(never, "rejections_told").is_kept
    assert figure(never, "rejected_s").value is None


def test_an_event_that_several_replicas_told_is_one() -> None:
    same = told(12.0, "revision_rejected", BAD)
    assert figure([*bogus_story(), same, same], "rejections_told").value == 1


def test_times_count_from_when_the_secret_was_readable() -> None:
    assert figure(bogus_story(), "rejected_s").value == pytest.approx(1.0)
    assert figure(bogus_story(), "adopted_s").value == pytest.approx(1.01 + 0.0, abs=0.11)
    assert figure(bogus_story(), "adopted_s").promised == "≤ 3.1 s"


def test_a_good_secret_that_one_replica_does_not_lease_misses_the_promise() -> None:
    entries = [
        entry
        for entry in bogus_story()
        if not (isinstance(entry, Call) and entry.tries[0].replica == "replica-2")
    ]
    found = figure(entries, "adopted_s")
    assert (found.value, found.is_kept, found.shown) == (None, False, "never")


def test_every_replica_is_to_be_restarted() -> None:
    entries = [
        entry
        for entry in restart_story()
        if not (isinstance(entry, Deed) and entry.replica == "replica-2")
    ]
    assert not figure(entries, "restarted").is_kept
    assert figure(restart_story(), "restart_s").value == pytest.approx(1.5)


# A revoked key


def test_detection_is_told_in_time_and_in_calls() -> None:
    story = revoked_story()
    assert figure(story, "first_failure_s").value == pytest.approx(0.31)
    assert figure(story, "quarantine_s").value == pytest.approx(0.3)
    assert figure(story, "detected_at_call").value == 1


def test_a_quarantine_after_the_second_report_misses_the_promise() -> None:
    unheard = call(11.05, SYSTEM, "replica-1", FIRST, until=11.2, status=401, denial="")
    found = figure([*revoked_story(), unheard], "detected_at_call")
    assert (found.value, found.is_kept) == (2, False)
    deaf = [replace(e, denial="") if isinstance(e, Call) else e for e in revoked_story()]
    never = figure(deaf, "detected_at_call")
    assert (never.value, never.is_kept) == (None, False)


def test_a_quarantine_that_nobody_told_of_took_for_ever() -> None:
    silent = [entry for entry in revoked_story() if not isinstance(entry, Told)]
    assert figure(silent, "quarantine_s").value is None


def test_a_lease_that_was_asked_for_before_the_report_was_answered_is_no_further_one() -> None:
    """It crossed the report on its way: nobody could have known."""
    crossing = call(11.31, SYSTEM, "replica-1", FIRST, status=401)
    assert figure([*revoked_story(), crossing], "further_leases_replica-1").value == 0


def test_a_lease_on_the_dead_key_by_the_replica_that_was_told_misses_the_promise() -> None:
    again = call(11.33, SYSTEM, "replica-1", FIRST, status=401)
    found = figure([*revoked_story(), again], "further_leases_replica-1")
    assert (found.value, found.is_kept) == (1, False)


def test_another_replica_has_a_second_to_learn_it() -> None:
    soon = call(11.38, SYSTEM, "replica-2", FIRST, status=401)
    found = figure([*revoked_story(), soon], "last_lease_s")
    assert found.value == pytest.approx(0.07)
    assert found.is_kept
    late = call(12.4, SYSTEM, "replica-2", FIRST, status=401)
    assert not figure([*revoked_story(), late], "last_lease_s").is_kept
    assert not figure([*revoked_story(), late], "further_leases_replica-2").is_kept


def test_failures_and_denials_are_told_apart() -> None:
    story = revoked_story()
    assert figure(story, "failed_at_provider").value == 2
    assert figure(story, "denied").value == 100
    other = [*story, denied(13.0, SYSTEM, "COOLING_DOWN")]
    assert figure(other, "denied").value == 101
    assert not figure(other, "denied_otherwise").is_kept
    broken = Call(13.0, 23.0, SYSTEM, Result.BROKEN, "TimeoutError")
    assert not figure([*story, broken], "broken").is_kept


def test_recovery_ends_with_the_first_call_after_the_last_refused_one() -> None:
    assert figure(revoked_story(), "recovery_s").value == pytest.approx(1.6)
    assert figure(revoked_story(), "outage_s").value == pytest.approx(5.7)
    relapse = [*revoked_story(), denied(17.95, UNTENANTED)]
    found = figure(relapse, "recovery_s")
    assert found.value == pytest.approx(3.1)
    assert not found.is_kept


def test_a_group_that_is_never_served_again_has_not_recovered() -> None:
    def is_late(entry: Entry) -> bool:
        return isinstance(entry, Call) and entry.group == UNTENANTED and entry.at > 15

    found = figure([e for e in revoked_story() if not is_late(e)], "recovery_s")
    assert (found.value, found.is_kept) == (None, False)


def test_refetching_is_reckoned_from_the_adoption_that_tells_how_long_ago_it_was() -> None:
    assert figure(revoked_story(), "refetch_s").value == pytest.approx(1.0)
    other = [*revoked_story(), told(16.0, "revision_adopted", NEXT, elapsed_s="0.6")]
    assert figure(other, "refetch_s").value == pytest.approx(0.4)
    vague = [*revoked_story(), told(15.1, "revision_adopted", NEXT)]
    assert figure(vague, "refetch_s").value == pytest.approx(1.0)


def test_a_refused_call_of_the_tenant_with_its_own_key_misses_the_promise() -> None:
    assert not figure([*revoked_story(), denied(13.0, OWN_KEY)], "own_key_not_served").is_kept


def test_a_story_without_its_deeds_has_not_recovered() -> None:
    entries = [e for e in revoked_story() if not (isinstance(e, Deed) and e.secret == GOOD)]
    assert not figure(entries, "recovery_s").is_kept
