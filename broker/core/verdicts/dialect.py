"""What the broker knows about how one provider speaks, as values read from a catalogue file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from broker.core.verdicts.rule import Rule, RuleBook
from broker.core.words import QuotaWindow

JsonPath: TypeAlias = tuple[str, ...]
"""Steps into a JSON value: member names, and EACH for every element of an array."""

EACH = "[]"

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NO_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def _no_names() -> Mapping[str, tuple[str, ...]]:
    return _NO_NAMES


def _no_headers() -> Mapping[str, str]:
    return _NO_HEADERS  # a proxy has no hash before Python 3.12, so it cannot be a plain default


@dataclass(frozen=True, slots=True)
class KeyTravel:
    """How a key travels: `header_name: header_prefix + secret`, beside `extra_headers`."""

    header_name: str = "Authorization"
    header_prefix: str = "Bearer "
    extra_headers: Mapping[str, str] = field(default_factory=_no_headers)


@dataclass(frozen=True, slots=True)
class FreeProbe:
    """A call that costs nothing.

    `path` is appended to the base URL. `authenticates` says whether a success proves the key; a
    public list proves nothing. `model_names` leads to the names in the listing, each of which
    loses `model_prefix`; empty when the call lists no models.
    """

    path: str
    authenticates: bool
    method: str = "GET"
    model_names: JsonPath = ()
    model_prefix: str = ""


class HintForm(StrEnum):
    """How a header writes a time to wait."""

    RETRY_AFTER = "retry_after"
    """Seconds, a duration such as `6m0s`, or a date (RFC 9110 10.2.3)."""
    MILLISECONDS = "milliseconds"
    RESET = "reset"
    """As RETRY_AFTER, or a large number: an instant in epoch seconds or milliseconds."""


@dataclass(frozen=True, slots=True)
class HeaderHint:
    """A header that says when to come back; where `when_zero` is set, only if that header is 0."""

    name: str
    form: HintForm = HintForm.RETRY_AFTER
    when_zero: str = ""


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """The two headers that tell a limit and what is left of it."""

    limit: str
    remaining: str


@dataclass(frozen=True, slots=True)
class Hints:
    """Where retry hints sit, in the order of trust: the first usable one counts.

    `headers` come first, then `fields` (JSON paths of durations or seconds), then `phrases`
    (lower-case words of the provider's message directly before a duration or an instant), last
    `resets`: headers of single limits, of which the longest counts whose limit is used up. `zone`
    is that of instants without one; None: they are not read.
    """

    headers: tuple[HeaderHint, ...] = ()
    fields: tuple[JsonPath, ...] = ()
    phrases: tuple[str, ...] = ()
    resets: tuple[HeaderHint, ...] = ()
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class SuccessMark:
    """What turns an HTTP 200 into an error: a value at `path`.

    Where set, it must be `equals`, or anything but `differs`.
    """

    path: JsonPath
    equals: str = ""
    differs: str = ""

    @property
    def needle(self) -> bytes:
        """Bytes without which no body has this mark, to tell most answers without parsing them."""
        return f'"{self.equals or self.path[-1]}"'.encode()


@dataclass(frozen=True, slots=True)
class ErrorSites:
    """Where errors sit in a body.

    `fields` maps the names that rules use to the paths where such a value may be, `headers` to the
    headers that may hold it too. `error_name` is the field that takes the name which a client
    printed before the provider's words. `message` are the paths of those words, `nested` those of
    strings that may hold a whole error body again. `success_marks` tell the error bodies among HTTP
    200 answers, `status` are the paths of the status that such a body names itself. `raw_streams`
    tells that events carry a model's words as they are, so that no error in them is believed.
    """

    fields: Mapping[str, tuple[JsonPath, ...]]
    message: tuple[JsonPath, ...]
    nested: tuple[JsonPath, ...] = ()
    success_marks: tuple[SuccessMark, ...] = ()
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=_no_names)
    status: tuple[JsonPath, ...] = ()
    error_name: str = ""
    raw_streams: bool = False

    @property
    def needles(self) -> tuple[str, ...]:
        """Words of which an event stream that tells of an error has one."""
        return tuple(mark.needle.decode() for mark in self.success_marks)


@dataclass(frozen=True, slots=True)
class QuotaResets:
    """When quota windows end: at `hour` o'clock in `time_zone`, daily and on the first of a month.

    The zone is resolved when the catalogue is loaded, so that nothing here reads a file.
    """

    time_zone: tzinfo = UTC
    hour: int = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """One catalogue file: how a provider's API takes keys, lists models and says no.

    `rules` are tried in order. `base_url` "" means that every provider of this dialect sets one.
    """

    name: str
    title: str
    base_url: str
    errors: ErrorSites
    rules: tuple[Rule, ...]
    key_travel: KeyTravel = KeyTravel()
    probe: FreeProbe | None = None
    hints: Hints = Hints()
    limits: tuple[LimitHeaders, ...] = ()
    resets: QuotaResets = QuotaResets()
    help_url: str = ""
    status_url: str = ""
    book: RuleBook = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "book", RuleBook.of(self.rules))

    def window_end_s(self, window: QuotaWindow, now: float) -> float:
        """Seconds from `now` (epoch seconds) to the end of the quota window it lies in."""
        start = datetime.fromtimestamp(now, self.resets.time_zone)
        if window is QuotaWindow.HOUR:
            end = start.replace(minute=0, second=0, microsecond=0).timestamp() + 3600.0
            return end - now
        # Shifted so that the window ends at a midnight, whatever the hour of the reset.
        day = (start.replace(tzinfo=None) - timedelta(hours=self.resets.hour)).date()
        if window is QuotaWindow.DAY:
            day += timedelta(days=1)
        else:
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        zone = self.resets.time_zone
        return (
            datetime(day.year, day.month, day.day, self.resets.hour, tzinfo=zone).timestamp() - now
        )
