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
BOTO = "An error occurred (ThrottlingException) when calling the Converse operation"


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
        f"429 status code (exceeded limit)\n{ERROR_TEXT}",
        f"403 PERMISSION_DENIED. {ERROR_TEXT}",
        f"openai.RateLimitError: Error code: 429 - {ERROR}",
        f"status_code: 429, body: {ERROR}",
        f"headers: {{'date': 'today'}}, status_code: 401, body: {ERROR}",
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[400] Too long", "Too long"),
        ("401 Unauthorized. No token", "Unauthorized. No token"),
        ("LLM error 1310: Limit", "Limit"),
        ("[API Error: Limit", "Limit"),
        ("Failed to authenticate. API Error: 401 No", "No"),
        ("API error (status 403 Forbidden): permission-denied: No", "No"),
        ('"404 page not found"', "404 page not found"),
        ('429 "Slow down"', "Slow down"),
        ('"no end', "no end"),
        ("1: 2: 3: 4", "1: 2: 3: 4"),
        ("111 222 333 444 no", "444 no"),
    ],
)
def test_what_clients_put_before_the_words_is_taken_off(text: str, words: str) -> None:
    assert read_body(text.encode(), is_cut=False) == Body(words=words)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ThrottlingException: Wait", "ThrottlingException"),
        (f"{BOTO} (reached max retries: 4): Wait", "ThrottlingException"),
        ("AccountOverdueError: Wait", "AccountOverdueError"),
        ("Wait", ""),
    ],
)
def test_the_name_that_a_client_printed_is_kept(text: str, name: str) -> None:
    text = text if name else "Wait"
    assert read_body(text.encode(), is_cut=False) == Body(words="Wait", error_name=name)


@pytest.mark.parametrize("tail", ["", "; then sent 1008 (policy violation) No"])
def test_a_closed_websocket_says_why(tail: str) -> None:
    text = f"received 1008 (policy violation) No{tail}"
    assert read_body(text.encode(), is_cut=False) == Body(words="No", close_code=1008)


def test_of_a_stream_whatever_has_a_needle_is_read() -> None:
    stream = b'data: {"base": {"code": 7}}\n\ndata: {"other": 1}'
    assert read_body(stream, is_cut=False).roots == ()
    assert read_body(stream, is_cut=False, needles=('"code"',)).roots == ({"base": {"code": 7}},)
