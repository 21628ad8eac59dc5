"""Reads when to come back, in every form that providers write it; trusts no number."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Final

from broker.core.verdicts.answer import Answer
from broker.core.verdicts.dialect import HeaderHint, HintForm, Hints

MAX_HINT_S: Final = 32 * 86_400.0
"""No quota window is longer than a month: a longer hint is cut to this."""

MAX_BELIEVABLE_S: Final = 366 * 86_400.0
"""A hint beyond this is a mistake or an attack, and is none."""

_EPOCH_S: Final = 1e9
_EPOCH_MS: Final = 1e12
_MAX_TEXT_CHARS: Final = 64

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_NUMBER = re.compile(r"\d{1,15}+(?:\.\d{1,20}+)?+", re.ASCII)
_PART = re.compile(
    r"\s{0,2}+(\d{1,12}+(?:\.\d{1,20}+)?+)\s{0,2}+"
    r"(?:(ms|milliseconds?)|(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hrs?|hours?)|(d|days?))"
    r"(?![a-z])",
    re.ASCII | re.IGNORECASE,
)
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:t| at | )(\d\d:\d\d(?::\d\d)?+)(?:\.\d{1,9})?+"
    r" ?(?:(z|utc)|([+-]\d\d:?\d\d))?",
    re.ASCII,
)
_UNIT_NAMES: Final = ("ms", "s", "m", "h", "d")


def retry_hint_s(hints: Hints, headers: Mapping[str, str], answer: Answer | None) -> float | None:
    """The provider's own word on when to come back, in seconds; None when it gave none."""
    for hint in hints.headers:
        wait = _header_wait(hint, headers)
        if wait is not None:
            return wait
    if answer is not None:
        wait = _body_wait(hints, answer, headers.get("date", ""))
        if wait is not None:
            return wait
    for is_told in (True, False):
        # A limit that is used up; else one of which nobody says how much is left.
        waits = [
            wait
            for hint in hints.resets
            if (not hint.when_zero or (hint.when_zero in headers) is is_told)
            and (wait := _header_wait(hint, headers)) is not None
        ]
        if waits:
            return max(waits)
    return None


def parse_duration_s(text: str) -> float | None:
    """Seconds of `120ms`, `6m0s`, `1h7m0.9s`, `38 seconds` or `1.5` at the start of `text`."""
    total, position = 0.0, 0
    while match := _PART.match(text, position):
        unit = next(
            name for name, word in zip(_UNIT_NAMES, match.groups()[1:], strict=True) if word
        )
        total += float(match[1]) * _UNITS[unit]
        # A compound such as 6m0s goes on without a gap or after one space; prose does not.
        position = match.end()
    if position:
        return total
    plain = _NUMBER.match(text)
    return float(plain.group()) if plain else None


def _believable(wait: float | None) -> float | None:
    if wait is None or not 0.0 < wait <= MAX_BELIEVABLE_S:
        return None
    return min(wait, MAX_HINT_S)


def _header_wait(hint: HeaderHint, headers: Mapping[str, str]) -> float | None:
    text = headers.get(hint.name)
    if not text or len(text) > _MAX_TEXT_CHARS:
        return None
    if hint.when_zero and headers.get(hint.when_zero, "0").strip() not in {"0", "0.0"}:
        return None
    text = text.strip()
    if hint.form is HintForm.MILLISECONDS:
        return _believable(float(text) / 1_000.0) if _NUMBER.fullmatch(text) else None
    return _believable(_wait(text, headers.get("date", "")))


def _wait(text: str, date: str) -> float | None:
    """A wait, or an instant less the answer's own date: there is no other clock to compare with."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number < _EPOCH_S:
            return number
        until: float | None = number / 1_000.0 if number >= _EPOCH_MS else number
    else:
        duration = parse_duration_s(text) if _PART.match(text) else None
        if duration is not None:
            return duration
        until = _instant(text)
    answered = _instant(date) if until is not None and date else None
    return None if until is None or answered is None else until - answered


def _instant(text: str) -> float | None:
    """Epoch seconds of an HTTP date (RFC 9110) or an RFC 3339 instant; None without a zone."""
    if len(text) > _MAX_TEXT_CHARS:
        return None
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            instant = parse(text.strip())
            if instant.tzinfo is not None:
                return instant.timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _body_wait(hints: Hints, answer: Answer, date: str) -> float | None:
    for path in hints.fields:
        for text in answer.texts_at(path):
            wait = _believable(_wait(text[:_MAX_TEXT_CHARS].strip(), date))
            if wait is not None:
                return wait
    message = answer.message
    for phrase in hints.phrases:
        # The last mention: what stands before it may be an echo of the caller's words.
        found = message.rfind(phrase)
        if found < 0:
            continue
        text = message[found + len(phrase) :][:_MAX_TEXT_CHARS]
        wait = _believable(_worded_wait(text, date, hints.zone))
        if wait is not None:
            return wait
    return None


def _worded_wait(text: str, date: str, zone: tzinfo | None) -> float | None:
    """A duration with a unit, or an instant; a bare number in prose may count anything."""
    if _PART.match(text):
        return parse_duration_s(text)
    written, answered = _INSTANT.match(text), _instant(date)
    if written is None or answered is None:
        return None
    try:
        until = datetime.fromisoformat(f"{written[1]}T{written[2]}{written[4] or ''}")
    except ValueError:
        return None  # as in the 32nd of a month
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC if written[3] else zone)
    return None if until.tzinfo is None else until.timestamp() - answered
