"""Outcomes: how one provider call went, raw, and fit for the broker's limits."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self, TypedDict

from keybroker.ask import seconds
from keybroker.v1 import outcome_pb2
from keybroker.words import Phase, TransportError, write_word

MAX_BODY_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_HEADER_VALUE: Final = 4 * 1024

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_TELLING: Final = ("retry", "x-ratelimit", "ratelimit", "anthropic-", "x-should-retry", "content-")
"""Headers that go first where there is no room for all."""

_PRIVATE: Final = frozenset({"set-cookie", "authorization", "x-api-key", "x-goog-api-key"})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the provider billed."""

    input_tokens: int = 0
    output_tokens: int = 0


class Facts(TypedDict, total=False):
    """What may be told of a call: `status` or `transport_error`, and what else is known.

    `headers` are the response's, never the request's. `body` is what the provider said where that
    is not what was asked for; leave it out when a model wrote it. `phase` is how far the call came.
    `time_to_first_byte` and `total` are seconds. `interim`: the call goes on, these are its first
    bytes. `can_replay`: part of the answer is out, and the request can be sent again all the same.
    `will_retry`: you try this request again by yourself.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | str
    truncated: bool
    transport_error: TransportError
    phase: Phase
    usage: Usage
    time_to_first_byte: float
    total: float
    interim: bool
    can_replay: bool
    will_retry: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call went. What the provider said is not in its repr: it may echo the caller's words.

    Raises ValueError when it has neither a status nor a transport error.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | str = field(default=b"", repr=False)
    truncated: bool = False
    transport_error: TransportError | None = None
    phase: Phase = Phase.COMPLETE
    usage: Usage | None = None
    time_to_first_byte: float | None = None
    total: float | None = None
    interim: bool = False
    can_replay: bool = False
    will_retry: bool = False

    def __post_init__(self) -> None:
        if not self.status and self.transport_error is None:
            raise ValueError("an outcome needs a status or a transport_error, or both")

    @classmethod
    def of(cls, known: Self | None, facts: Facts) -> Self:
        """An outcome from facts, on top of what a response already told."""
        return replace(known, **facts) if known is not None else cls(**facts)

    def message(
        self, outcome_id: str, request_id: str = "", started_ago_s: float | None = None
    ) -> outcome_pb2.Outcome:
        """The message of it, cut to what the broker takes."""
        body = (
            self.body.encode(errors="replace") if isinstance(self.body, str) else bytes(self.body)
        )
        message = outcome_pb2.Outcome(
            outcome_id=outcome_id,
            request_id=request_id,
            started_ago=seconds(started_ago_s),
            http_status=self.status,
            headers=_fit(self.headers),
            body=body[:MAX_BODY_BYTES],
            truncated=self.truncated or len(body) > MAX_BODY_BYTES,
            interim=self.interim,
        )
        message.phase = write_word(self.phase, outcome_pb2.Phase)
        if self.transport_error is not None:
            message.transport_error = write_word(self.transport_error, outcome_pb2.TransportError)
        if self.usage is not None:
            message.usage.input_tokens = self.usage.input_tokens
            message.usage.output_tokens = self.usage.output_tokens
        if self.time_to_first_byte is not None or self.total is not None:
            first, total = seconds(self.time_to_first_byte), seconds(self.total)
            timings = outcome_pb2.Timings(time_to_first_byte=first, total=total)
            message.timings.CopyFrom(timings)
        return message


def _fit(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that the broker takes, those that tell most first.

    Providers write them: what would have the whole report refused is left out.
    """
    fit: dict[str, str] = {}
    size = 0
    for name, value in sorted(_plain(headers), key=lambda pair: not pair[0].startswith(_TELLING)):
        size += len(name.encode()) + len(value.encode())
        if size > MAX_HEADER_BYTES or len(fit) == MAX_HEADERS:
            break
        fit[name] = value
    return fit


def _plain(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, value in headers.items():
        lower = str(name).lower()
        text = str(value)
        is_clean = _UNFIT.search(lower) is None and _UNFIT.search(text) is None
        if lower and is_clean and lower not in _PRIVATE and len(text) <= MAX_HEADER_VALUE:
            yield lower, text
