"""Fields and words of an answer, where the dialect says they are."""

import json

import pytest

from broker.core.verdicts.answer import (
    MAX_ANSWERS,
    MAX_LEAVES,
    Answer,
    answers,
    as_text,
    is_marked,
    leaves,
    status_within,
)
from broker.core.verdicts.body import Body
from broker.core.verdicts.cuttext import CutText
from broker.core.verdicts.dialect import EACH, ErrorSites, SuccessMark
from broker.core.verdicts.phrase import MAX_MESSAGE_CHARS

SITES = ErrorSites(
    fields={"code": (("error", "code"), ("code",)), "reason": (("details", EACH, "reason"),)},
    message=(("error", "message"), ("error",), ("detail",)),
    nested=(("error", "message"), ("error", "raw")),
)


def test_a_field_has_the_values_of_all_its_places_in_lower_case() -> None:
    answer = Answer(SITES, {"error": {"code": "BAD"}, "code": 1500})
    assert answer.field("code") == ("bad", "1500")
    assert answer.field("code") is answer.field("code")


def test_a_field_that_is_absent_unnamed_or_no_text_has_no_value() -> None:
    root: dict[str, object] = {"error": {"code": None}, "code": True, "details": "x"}
    answer = Answer(SITES, root)
    assert answer.field("code") == answer.field("reason") == answer.field("other") == ()


def test_a_value_without_its_end_proves_nothing() -> None:
    assert Answer(SITES, {"code": CutText("invalid_api_key")}).field("code") == ()


def test_a_path_passes_through_arrays_and_takes_a_bounded_number() -> None:
    root: dict[str, object] = {"details": [{"reason": "A"}, "x", {"other": 1}, {"reason": "B"}]}
    assert Answer(SITES, root).field("reason") == ("a", "b")
    many: dict[str, object] = {"details": [{"reason": str(n)} for n in range(1_000)]}
    assert len(leaves(many, ("details", EACH, "reason"))) == MAX_LEAVES


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ({"error": {"message": " Slow Down\n"}}, "slow down"),
        ({"error": "No"}, "no"),
        ({"error": {"message": {"detail": []}}}, ""),
        ({"error": {"message": ""}, "detail": "Unauthorized"}, "unauthorized"),
        ({}, ""),
    ],
)
def test_the_message_is_the_first_text_among_its_places(
    root: dict[str, object], message: str
) -> None:
    assert Answer(SITES, root).message == message


@pytest.mark.parametrize("text", [CutText("Overloaded"), "x" * (MAX_MESSAGE_CHARS + 1)])
def test_a_message_that_was_not_read_to_its_end_says_so(text: str) -> None:
    assert isinstance(Answer(SITES, {"detail": text}).message, CutText)


def test_the_innermost_body_comes_first() -> None:
    inner = {"error": {"code": "inner"}}
    middle = {"error": {"code": "middle", "message": json.dumps(inner)}}
    outer: dict[str, object] = {"error": {"code": "outer", "raw": middle}}
    found = answers(SITES, Body(roots=(outer,)))
    assert [answer.field("code") for answer in found] == [("inner",), ("middle",), ("outer",)]


def test_a_place_for_nested_bodies_may_hold_anything_else() -> None:
    for other in (5, None, "plain words", "[1]"):
        assert len(answers(SITES, Body(roots=({"error": {"message": other}},)))) == 1


def test_nesting_is_followed_to_a_bound() -> None:
    root: dict[str, object] = {"error": {"code": "innermost"}}
    for _ in range(6):
        root = {"error": {"raw": root}}
    assert len(answers(SITES, Body(roots=(root,)))) == 3


def test_words_are_a_message_without_fields() -> None:
    (answer,) = answers(SITES, Body(words="Bad Request"))
    assert answer.message == "bad request"
    assert answer.field("code") == ()


@pytest.mark.parametrize(
    ("leaf", "text"), [("a", "a"), (3, "3"), (1.5, "1.5"), (True, ""), (None, ""), ([], "")]
)
def test_only_strings_and_numbers_are_text(leaf: object, text: str) -> None:
    assert as_text(leaf) == text


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ({"error": {"code": 1}}, True),
        ({"error": None}, False),
        ({"type": "error"}, True),
        ({"type": "message"}, False),
        ({"base": {"code": 1008}}, True),
        ({"base": {"code": 0}}, False),
        ({"base": {"code": None}}, False),
    ],
)
def test_a_mark_is_a_presence_an_equality_or_a_difference(
    root: dict[str, object], *, expected: bool
) -> None:
    marks = (
        SuccessMark(("error",)),
        SuccessMark(("type",), equals="error"),
        SuccessMark(("base", "code"), differs="0"),
    )
    assert is_marked(root, marks) is expected


def test_a_field_may_stand_in_a_header_or_be_the_name_that_a_client_printed() -> None:
    sites = ErrorSites(
        fields={"type": (("__type",),)},
        message=(),
        headers={"type": ("x-error-type", "x-other")},
        error_name="type",
    )
    root: dict[str, object] = {"__type": "A"}
    assert Answer(sites, root, headers={"x-error-type": " B:http "}).field("type") == (
        "a",
        "b:http",
    )
    assert Answer(sites, None, error_name="CError").field("type") == ("cerror",)
    assert Answer(sites, None).field("type") == ()


def test_a_text_that_is_too_long_for_a_code_is_none() -> None:
    assert Answer(SITES, {"code": "x" * (MAX_MESSAGE_CHARS + 1)}).field("code") == ()


def test_of_many_error_bodies_a_bounded_number_is_looked_at() -> None:
    root: dict[str, object] = {"error": {"code": "a"}}
    assert len(answers(SITES, Body(roots=(root,) * (MAX_ANSWERS + 1)))) == MAX_ANSWERS
    assert [answer.message for answer in answers(SITES, Body())] == [""]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (429, 429),
        ("503", 503),
        (200, None),
        (600, None),
        ("4²9", None),
        ("rate", None),
        (None, None),
    ],
)
def test_an_error_in_a_success_may_name_the_status_it_deserved(
    code: object, status: int | None
) -> None:
    sites = ErrorSites(fields={}, message=(), status=(("code",), ("error", "code")))
    assert status_within(sites, {"error": {"code": code}}) == status
