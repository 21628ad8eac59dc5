"""The simulator's vocabularies: what a provider refuses, and how it misbehaves."""

from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """A well-formed error answer; every dialect renders each of them in its own format."""

    MISSING_KEY = "missing_key"
    UNKNOWN_KEY = "unknown_key"
    BARE_UNAUTHORIZED = "bare_unauthorized"
    """A 401 that does not say what is wrong."""
    KEY_ECHOED = "key_echoed"
    """A hostile provider's 401: the whole secret stands in the message."""
    EMPTY_WALLET = "empty_wallet"
    RATE_LIMITED = "rate_limited"
    DAILY_LIMITED = "daily_limited"
    TOO_MANY_IN_FLIGHT = "too_many_in_flight"
    MODEL_FORBIDDEN = "model_forbidden"
    MODEL_UNKNOWN = "model_unknown"
    REGION_UNSUPPORTED = "region_unsupported"
    BAD_REQUEST = "bad_request"
    """A 400 whose message repeats the caller's prompt."""
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"


class Fault(StrEnum):
    """A misbehaviour below the dialect: the same bytes, or lack of them, for every provider."""

    HTML_PAGE = "html_page"
    """A proxy's 502 page."""
    REDIRECT_302 = "redirect_302"
    REDIRECT_307 = "redirect_307"
    """Both point to another host name, whose calls are recorded as dialect `elsewhere`."""
    RESET = "reset"
    """The connection is reset (RST) after the request was read."""
    CLOSE = "close"
    """The connection is closed without one byte of an answer."""
    GARBAGE = "garbage"
    """Bytes that are no HTTP."""
    HALF_BODY = "half_body"
    """The usual answer stops in the middle; a stream is cut."""
    HANG = "hang"
    """No answer until released, or until the client goes away."""
    ERROR_IN_STREAM = "error_in_stream"
    """HTTP 200, some chunks, then an error event; touches streaming requests only."""
    ERROR_IN_200 = "error_in_200"
    """HTTP 200 whose body is an error; touches requests that do not stream only."""


Trouble = Refusal | Fault

AFTER_AUTHENTICATION: Final[frozenset[Trouble]] = frozenset(
    {
        Refusal.BAD_REQUEST,
        Refusal.MODEL_FORBIDDEN,
        Refusal.MODEL_UNKNOWN,
        Fault.HALF_BODY,
        Fault.ERROR_IN_STREAM,
        Fault.ERROR_IN_200,
    }
)
"""What only a caller with a living key gets to see."""


class RouteKind(StrEnum):
    """What a request wants from a provider."""

    GENERATE = "generate"
    LIST_MODELS = "list_models"


class Ending(StrEnum):
    """How the bytes of an answer end."""

    WHOLE = "whole"
    HALF = "half"
    CLOSE = "close"
    RESET = "reset"
    GARBAGE = "garbage"
