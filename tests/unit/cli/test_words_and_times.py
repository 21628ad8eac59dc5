"""How enums, spans and moments are written and read."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from broker.cli.exits import CommandError
from broker.cli.plain import plain
from broker.cli.times import age, clock, read_moment, span
from broker.cli.words import all_words, number_of, word_of, words
from keybroker.v1 import key_pb2, policy_pb2

STATES = key_pb2.KeyState.DESCRIPTOR


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0ms"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
        (9.81, "9.8s"),
        (10.4, "10s"),
        (60, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3601, "1h"),
        (3660, "1h 1m"),
        (90_000, "1d 1h"),
        (86_400 * 400, "400d"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_an_age_looks_both_ways() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    moment = int(at.timestamp())
    assert age(Timestamp(seconds=moment - 90), at) == "1m 30s ago"
    assert age(Timestamp(seconds=moment + 3600), at) == "in 1h"
    assert age(Timestamp(seconds=moment), at) == "now"
    assert age(Timestamp(), at) == clock(Timestamp()) == ""
    assert clock(Timestamp(seconds=moment)) == "2030-01-01T00:00:00Z"


def test_a_moment_is_an_age_or_a_time() -> None:
    now = datetime.now(UTC).timestamp()
    assert abs(read_moment("2h", "x").seconds - (now - 7200)) < 5
    assert read_moment("2030-01-01T02:00:00+02:00", "x").ToJsonString() == "2030-01-01T00:00:00Z"


def test_words_are_the_rest_of_an_enums_names() -> None:
    assert word_of(STATES, key_pb2.KEY_STATE_COOLING_DOWN) == "cooling_down"
    assert word_of(STATES, key_pb2.KEY_STATE_UNSPECIFIED) == ""
    assert word_of(STATES, 99) == "99"
    assert number_of(STATES, "Cooling-Down", "x") == key_pb2.KEY_STATE_COOLING_DOWN
    assert "unspecified" not in all_words(STATES)
    with pytest.raises(CommandError, match="--state: 'well' is none of healthy, cooling_down"):
        number_of(STATES, "well", "--state")
    policy = policy_pb2.TenantPolicy(fall_through=[key_pb2.KEY_STATE_EXHAUSTED])
    assert words(policy, "fall_through") == ["exhausted"]


@pytest.mark.parametrize("text", ["", "gpt-4o", "clé ключ 鍵 🔑", "a b"])
def test_text_that_prints_stays(text: str) -> None:
    assert plain(text) == text


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    hostile = "\x1b]0;title\x07\r\n\x9b2J\u202e\u2028\ud800\x00"
    assert plain(hostile).isprintable()
    assert plain(hostile) == r"\x1b]0;title\x07\r\n\x9b2J\u202e\u2028\ud800\x00"
