"""Bodies as they come: JSON, streams, pages, words, and what clients print."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.outcome import MAX_BODY_BYTES
from broker.core.verdicts.body import MAX_EVENTS, MAX_ROOTS, Body, read_body, read_json_text
from broker.core.verdicts.cuttext import CutText

ERROR = {"error": {"code": "c"}}
ERROR_TEXT = json.dumps(ERROR)


@pytest.mark.parametrize(
    "text",
    [
        ERROR_TEXT,
        f"\ufeff \n{ERROR_TEXT}\n\0",
        f"[{ERROR_TEXT}]",
        f"401 {ERROR_TEXT}",
        f"got status: 400 Bad Request. {ERROR_TEXT}",
        f"Error code: 401 - {ERROR}",
        f"litellm.RateLimitError: AnthropicException - {ERROR_TEXT}",
        f"API Error: 529 {ERROR_TEXT}",
        f"Codex error: {ERROR_TEXT}",
        f"b'{ERROR_TEXT}'",
        f"event: error\ndata: {ERROR_TEXT}\n\ndata: [DONE]\n",
        f": ping\n\ndata:{ERROR_TEXT}",
    ],
)
def test_an_error_object_is_found_however_it_is_wrapped(text: str) -> None:
    body = read_body(text.encode(), is_cut=False)
    assert body.roots == (ERROR,)
    assert body.is_sound


def test_an_error_quoted_after_other_words_stays_words() -> None:
    text = f"Unknown tool: {ERROR_TEXT}"
    assert read_body(text.encode(), is_cut=False) == Body(words=text)


@pytest.mark.parametrize("text", ["<!DOCTYPE html><p>no", "<html>", "521 <!doctype html>"])
def test_a_page_is_neither_words_nor_json(text: str) -> None:
    body = read_body(text.encode(), is_cut=False)
    assert body.page
    assert not body.words
    assert not body.roots


def test_the_end_of_words_is_missing_when_the_body_was_cut_or_is_too_long() -> None:
    assert not isinstance(read_body(b"Overloaded", is_cut=False).words, CutText)
    assert isinstance(read_body(b"Overloaded", is_cut=True).words, CutText)
    long = read_body(b"x" * (MAX_BODY_BYTES + 1), is_cut=False).words
    assert isinstance(long, CutText)
    assert len(long) == MAX_BODY_BYTES


def test_raw_line_breaks_in_strings_are_taken_as_they_are() -> None:
    body = read_body(b'{"error": {"message": "a\nb"}}', is_cut=False)
    assert body == Body(roots=({"error": {"message": "a\nb"}},))


def test_an_unescaped_quote_makes_the_body_unsound() -> None:
    body = read_body(b'{"error": {"message": "tool "x" failed"}}', is_cut=False)
    assert not body.is_sound


def test_endless_nesting_is_not_followed() -> None:
    assert read_body(b'{"a":' * 3_000, is_cut=False).is_sound


@pytest.mark.parametrize("text", ["", "   ", "[]", "[1, 2]", "data: [DONE]", 'data: "error"'])
def test_nothing_to_read_is_no_object(text: str) -> None:
    assert not read_body(text.encode(), is_cut=False).roots


def test_of_long_streams_and_arrays_the_end_is_read() -> None:
    events = "".join(f'data: {{"error": {n}}}\n\n' for n in range(50))
    roots = read_body(events.encode(), is_cut=False).roots
    assert roots == tuple({"error": n} for n in range(50 - MAX_EVENTS, 50))
    array = json.dumps([{"n": n} for n in range(50)])
    assert len(read_body(array.encode(), is_cut=False).roots) == MAX_ROOTS


def test_json_inside_a_string_is_read_only_when_it_is_all_of_it() -> None:
    assert read_json_text(f" {ERROR_TEXT}\n") == (ERROR,)
    assert read_json_text(f"[{ERROR_TEXT}]") == (ERROR,)
    for text in (f"see {ERROR_TEXT}", f"{ERROR_TEXT}: not permitted", ERROR_TEXT[:-1], "[" * 9999):
        assert read_json_text(text) == ()


@given(st.binary(), st.booleans())
def test_no_bytes_break_it(data: bytes, is_cut: bool) -> None:  # noqa: FBT001 - drawn
    read_body(data, is_cut=is_cut)
