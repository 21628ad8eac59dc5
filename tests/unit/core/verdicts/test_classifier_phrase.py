"""Phrases: anchored, bounded, and never a search."""

import pytest

from broker.core.verdicts.cuttext import CutText
from broker.core.verdicts.phrase import MAX_GAP_CHARS, Phrase, Wording

NO_MODEL = Phrase.of("The model {} does not exist", whole=True)


def test_a_start_matches_only_at_the_beginning_of_the_message() -> None:
    start = Phrase.of("Invalid API key", whole=False)
    assert start.matches("invalid api key: sk-1")
    assert not start.matches("tool 'invalid api key' is unknown")


@pytest.mark.parametrize(
    ("message", "is_match"),
    [
        ("the model `x` does not exist", True),
        ("the model  does not exist", True),
        ("the model `x` does not exist today", False),
        ("the model `x` is new", False),
        (f"the model {'x' * (MAX_GAP_CHARS + 1)} does not exist", False),
        ("the model does not exist", False),
    ],
)
def test_a_whole_phrase_matches_from_end_to_end(message: str, *, is_match: bool) -> None:
    assert NO_MODEL.matches(message) is is_match


def test_a_whole_phrase_without_a_gap_is_the_message_itself() -> None:
    phrase = Phrase.of("Overloaded", whole=True)
    assert phrase.matches("overloaded")
    assert not phrase.matches("overloaded today")


def test_a_cut_message_may_begin_like_a_phrase_but_is_never_a_whole_one() -> None:
    assert Phrase.of("Overloaded", whole=False).matches(CutText("overloaded"))
    assert not Phrase.of("Overloaded", whole=True).matches(CutText("overloaded"))


def test_the_parts_between_gaps_come_in_their_order() -> None:
    phrase = Phrase.of("Limit of {} for {} per day", whole=False)
    assert phrase.matches("limit of 5 for m-1 per day, sorry")
    assert not phrase.matches("limit of 5 per day for m-1")


def test_only_a_pinned_end_in_the_providers_words_is_closed() -> None:
    assert NO_MODEL.is_closed
    assert not Phrase.of("Unknown model {}", whole=True).is_closed
    assert not Phrase.of("Unknown model", whole=False).is_closed


def test_one_phrase_of_a_wording_is_enough() -> None:
    wording = Wording.of(starts=("Slow down",), whole=("Overloaded",))
    assert wording.matches("overloaded")
    assert wording.matches("slow down please")
    assert not wording.matches("overloaded again")
    assert not wording.matches("all is well")


@pytest.mark.parametrize(
    ("message", "is_match"),
    [
        ("acme/m-1 is no model", True),
        ("invalid value: acme/m-1 is no model", False),
        ("acme/m-1\tis no model", False),
    ],
)
def test_a_word_is_a_gap_that_no_sentence_fits_into(message: str, *, is_match: bool) -> None:
    assert Phrase.of("{word} is no model", whole=True).matches(message) is is_match


def test_a_word_may_stand_in_the_middle_and_at_the_end() -> None:
    phrase = Phrase.of("{} of {word} is {word}", whole=True)
    assert phrase.matches("the model of acme is m-1")
    assert not phrase.matches("the model of acme and others is m-1")
    assert not phrase.matches("the model of acme is m-1 today")
