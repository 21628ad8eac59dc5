"""Small renderings: durations, masks, and windows."""

from datetime import UTC, datetime

import pytest

from simulator.case import Case, go_duration, masked, seconds_text
from simulator.dialects import DIALECTS
from simulator.keys import Meter
from simulator.words import Fault, Refusal


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.006, "6ms"),
        (0.7, "700ms"),
        (1.0, "1s"),
        (1.772, "1.772s"),
        (432.0, "7m12s"),
        (3603.0, "1h0m3s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.7, "0.7s"), (48, "48s"), (0.0, "0s")])
def test_durations_are_written_as_protobuf_json_writes_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_mask_leaves_eight_and_four_and_short_secrets_whole() -> None:
    assert masked("test-con0000-key") == "test-con****-key"
    assert masked("invalid-key") == "invalid-key"


def test_a_whole_number_of_seconds_is_rounded_up_and_never_zero() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    waits = [Case("req_1", now, retry_s=seconds).retry_after for seconds in (0.0, 0.7, 1.0, 1.1)]
    assert waits == ["1", "1", "1", "2"]
    assert Case("req_1", now).after(0.5) == "2026-01-01T00:00:00.500Z"


def test_a_case_shows_no_secret_and_no_prompt() -> None:
    case = Case("req_1", datetime.now(UTC), secret="sk-hidden", prompt="private words")
    assert "sk-hidden" not in repr(case)
    assert "private" not in repr(case)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_words_every_refusal(name: str) -> None:
    assert set(DIALECTS[name].said) == set(Refusal)


def test_faults_and_refusals_have_different_names() -> None:
    assert not {fault.value for fault in Fault} & {refusal.value for refusal in Refusal}


def test_a_window_starts_with_its_first_request() -> None:
    meter = Meter(requests=1, per_s=10)
    assert meter.admits(100)
    meter.count(100)
    assert not meter.admits(109)
    assert meter.left_s(109) == 1
    assert meter.admits(110)
