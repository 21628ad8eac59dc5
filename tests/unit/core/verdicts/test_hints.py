"""When to come back, in every form that providers write it."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.verdicts.answer import Answer
from broker.core.verdicts.dialect import EACH, ErrorSites, HeaderHint, HintForm, Hints
from broker.core.verdicts.hints import MAX_HINT_S, parse_duration_s, retry_hint_s

TOKYO = ZoneInfo("Asia/Tokyo")
HINTS = Hints(
    headers=(HeaderHint("retry-after-ms", HintForm.MILLISECONDS), HeaderHint("retry-after")),
    fields=(("details", EACH, "retryDelay"),),
    phrases=("try again in ", "reset at "),
    resets=(
        HeaderHint("reset-requests", HintForm.RESET, when_zero="left-requests"),
        HeaderHint("reset-tokens", HintForm.RESET, when_zero="left-tokens"),
    ),
)
SITES = ErrorSites(fields={}, message=(("message",),))
NO_REQUESTS = {"reset-requests": "9s", "left-requests": "0"}
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def hint(headers: dict[str, str] | None = None, **root: object) -> float | None:
    return retry_hint_s(HINTS, headers or {}, Answer(SITES, root))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120ms", 0.12),
        ("703.599999ms", 0.703599999),
        ("5s", 5.0),
        ("6m0s", 360.0),
        ("1h7m0.9s", 4020.9),
        ("19h14m47s", 69287.0),
        ("1d2h", 93600.0),
        ("38 seconds, please", 38.0),
        ("2 minutes 5 secs", 125.0),
        ("1.5", 1.5),
        ("7", 7.0),
        ("soon", None),
        ("-5s", None),
        ("", None),
        ("٣s", None),
    ],
)
def test_durations_are_read_in_every_unit_seen(text: str, seconds: float | None) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "2m"}, 120.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "1.5s", "retry-after": "1"}, 1.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "2015-10-21T07:29:00Z", "date": DATE}, 60.0),
        ({"retry-after": "1445412500", "date": DATE}, 20.0),
        ({"retry-after": "1445412490000", "date": DATE}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "yesterday"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "x" * 100}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 -0000", "date": DATE}, None),
        ({"retry-after": "2015-10-21T07:29:00", "date": DATE}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e308"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "400d"}, None),
        ({"retry-after": "40d"}, MAX_HINT_S),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_headers_are_believed_within_reason(headers: dict[str, str], seconds: float | None) -> None:
    assert hint(headers) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (NO_REQUESTS, 9.0),
        ({"reset-requests": "9s", "left-requests": "3"}, None),
        ({"reset-requests": "9s"}, 9.0),
        ({"reset-requests": "9s", "reset-tokens": "1m", "left-tokens": "7"}, 9.0),
        (NO_REQUESTS | {"reset-tokens": "1m", "left-tokens": "0.0"}, 60.0),
        (NO_REQUESTS | {"reset-tokens": "1m", "left-tokens": "7"}, 9.0),
    ],
)
def test_of_the_limits_that_are_used_up_the_longest_wait_counts(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert hint(headers) == seconds
    assert retry_hint_s(HINTS, headers, None) == seconds


def test_a_header_outranks_a_field_and_a_field_outranks_words() -> None:
    details = [{"retryDelay": "0s"}, {"retryDelay": "34.4s"}]
    words = "Try again in 9s"
    assert hint({"retry-after": "1"}, details=details, message=words) == 1.0
    assert hint({}, details=details, message=words) == 34.4
    assert hint({"reset-tokens": "5s", "left-tokens": "0"}, message=words) == 9.0


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit reached. Please try again in 1m12s. Visit us.", 72.0),
        ("Tool 'try again in 30d' failed. Please try again in 2s.", 2.0),
        ("Please try again in 0s.", None),
        ("Please try again in a while", None),
        ("Please try again in 5", None),
        ("Please try again later", None),
    ],
)
def test_words_need_a_number_and_a_unit(message: str, seconds: float | None) -> None:
    assert hint({}, message=message) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Will reset at 2015-10-21T07:29:00Z.", 60.0),
        ("Will reset at 2015-10-21T09:29:00.5+02:00.", 60.0),
        ("Will reset at 2015-10-21 at 07:29 UTC.", 60.0),
        ("Will reset at 2015-10-21 16:29:00 (request 1)", 60.0),
        ("Will reset at 2015-10-32 16:29:00", None),
        ("Will reset at midnight", None),
    ],
)
def test_words_may_name_an_instant_in_the_dialects_time_zone(
    message: str, seconds: float | None
) -> None:
    hints = replace(HINTS, zone=TOKYO)
    answer = Answer(SITES, {"message": message})
    assert retry_hint_s(hints, {"date": DATE}, answer) == seconds
    assert retry_hint_s(hints, {}, answer) is None


def test_an_instant_in_no_zone_is_no_hint() -> None:
    assert hint({"date": DATE}, message="Will reset at 2015-10-21 16:29:00") is None


def test_a_field_may_be_an_instant() -> None:
    details = [{"retryDelay": "1445412500"}]
    assert hint({"date": DATE}, details=details) == 20.0
    assert hint({}, details=details) is None


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date", "reset-tokens", "left-tokens"]),
        st.text() | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str),
    ),
    st.text(),
)
def test_no_hint_breaks_it_or_leads_out_of_bounds(headers: dict[str, str], text: str) -> None:
    wait = hint(headers, details=[{"retryDelay": text}], message="try again in " + text)
    assert wait is None or 0.0 < wait <= MAX_HINT_S
