"""One provider call as a gateway reports it: flat, raw, judged by nobody yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from broker.core.words import Phase, TransportError

MAX_BODY_BYTES = 16 * 1024
"""The longest body excerpt an outcome carries; a longer one is refused at the edge."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens the provider billed, where the gateway knows them."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one provider call went.

    `headers` has lower-case names. `body` is at most MAX_BODY_BYTES and may be cut anywhere
    (`truncated`). `http_status` is None when no status line arrived. `started_ago_s` is the age of
    the call's start when the report was made, in seconds (None: unknown).
    """

    http_status: int | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    body: bytes = b""
    truncated: bool = False
    transport_error: TransportError | None = None
    phase: Phase = Phase.COMPLETE
    outcome_id: str = ""
    request_id: str = ""
    started_ago_s: float | None = None
    interim: bool = False
    usage: Usage = Usage()
