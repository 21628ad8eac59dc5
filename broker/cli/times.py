"""Spans and moments as a person writes and reads them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from broker.cli.exits import CommandError, Exit

_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SPAN: Final = re.compile(r"(\d{1,6})([smhd])")


def now() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)


def span(seconds: float) -> str:
    """The two largest units: `3m 20s`; below ten seconds with a fraction."""
    if seconds < 10:
        return f"{seconds:.2g}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
    left, parts = round(seconds), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts)


def span_of(duration: Duration) -> str:
    """A duration of the broker's."""
    return span(duration.seconds + duration.nanos / 1e9)


def age(moment: Timestamp, at: datetime) -> str:
    """How long before `at` that was, or how long after it will be; "" when it is not set."""
    if not (moment.seconds or moment.nanos):
        return ""
    seconds = moment.seconds + moment.nanos / 1e9 - at.timestamp()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def clock(moment: Timestamp) -> str:
    """A moment in UTC to the second; "" when it is not set."""
    if not (moment.seconds or moment.nanos):
        return ""
    return f"{moment.ToDatetime(tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_moment(text: str, where: str) -> Timestamp:
    """`15m` (ago), or an ISO 8601 time, UTC unless it says otherwise; raises CommandError."""
    match = _SPAN.fullmatch(text)
    if match is not None:
        return _moment(now() - timedelta(seconds=int(match[1]) * dict(_UNITS)[match[2]]))
    return read_time(text, where, "write 30m, 2h or 7d for so long ago, or ")


def read_time(text: str, where: str, or_else: str = "write ") -> Timestamp:
    """An ISO 8601 date or time, UTC unless it says otherwise; raises CommandError.

    `or_else` begins the advice with what may be written as well.
    """
    try:
        read = datetime.fromisoformat(text)
        return _moment(read if read.tzinfo else read.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        problem = f"{or_else}a time as 2030-01-31 or 2030-01-31T12:00:00Z"
        raise CommandError(Exit.USAGE, f"{where}: {text!r} is no time: {problem}") from None


def _moment(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made
