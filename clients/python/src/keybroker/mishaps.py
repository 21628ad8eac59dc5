"""Outcomes read from exceptions, by the names of their classes: no HTTP library is imported."""

import errno
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from keybroker.errors import KeybrokerError
from keybroker.outcome import Outcome
from keybroker.responses import attribute, outcome_of
from keybroker.words import Phase, TransportError

_DNS = TransportError.DNS
_CONNECT = TransportError.CONNECT
_TLS = TransportError.TLS
_TIMEOUT = TransportError.TIMEOUT
_RESET = TransportError.RESET
_PROTOCOL = TransportError.PROTOCOL
_OTHER = TransportError.OTHER
_MINE = TransportError.CALLER_DEADLINE  # the caller's own pool was full: nothing left the machine

_HTTPX: Final = {
    "ConnectTimeout": _CONNECT,
    "PoolTimeout": _MINE,
    "TimeoutException": _TIMEOUT,
    "ConnectError": _CONNECT,
    "NetworkError": _RESET,
    "ProxyError": _CONNECT,
    "RemoteProtocolError": _PROTOCOL,
    "DecodingError": _PROTOCOL,
    "TooManyRedirects": _OTHER,
}

TABLE: Final[Mapping[str, Mapping[str, TransportError]]] = MappingProxyType(
    {
        "httpx": _HTTPX,
        "httpcore": _HTTPX,
        "aiohttp": {
            "ClientConnectorDNSError": _DNS,
            "ClientSSLError": _TLS,
            "ConnectionTimeoutError": _CONNECT,
            "ClientConnectorError": _CONNECT,
            "ServerTimeoutError": _TIMEOUT,
            "ServerDisconnectedError": _RESET,
            "ClientConnectionResetError": _RESET,
            "ClientOSError": _RESET,
            "ClientPayloadError": _RESET,
            "ClientConnectionError": _OTHER,
        },
        "requests": {
            "ConnectTimeout": _CONNECT,
            "Timeout": _TIMEOUT,
            "SSLError": _TLS,
            "ConnectionError": _CONNECT,
            "ChunkedEncodingError": _RESET,
            "ContentDecodingError": _PROTOCOL,
            "TooManyRedirects": _OTHER,
        },
        "urllib3": {
            "NameResolutionError": _DNS,
            "NewConnectionError": _CONNECT,
            "ConnectTimeoutError": _CONNECT,
            "TimeoutError": _TIMEOUT,
            "SSLError": _TLS,
            "ProtocolError": _RESET,
        },
        "http": {
            "RemoteDisconnected": _RESET,
            "IncompleteRead": _RESET,
            "HTTPException": _PROTOCOL,
        },
        "urllib": {"URLError": _OTHER, "ContentTooShortError": _RESET},
        "socket": {"gaierror": _DNS},
        "ssl": {"SSLEOFError": _RESET, "SSLError": _TLS},
        "asyncio": {"IncompleteReadError": _RESET},
        "openai": {"APITimeoutError": _TIMEOUT, "APIConnectionError": _OTHER},
        "anthropic": {"APITimeoutError": _TIMEOUT, "APIConnectionError": _OTHER},
        "builtins": {
            "ConnectionRefusedError": _CONNECT,
            "ConnectionError": _RESET,
            "TimeoutError": _TIMEOUT,
        },
    }
)
"""By library and class; a class that is not here is what its nearest ancestor is."""

_VAGUE: Final = frozenset({_CONNECT, _OTHER, _RESET})
"""What a more telling cause may refine: libraries wrap DNS and TLS failures in these."""

_BEFORE_SEND: Final = frozenset({_DNS, _CONNECT, _TLS, _MINE})

_UNREACHED: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})

_MAX_CAUSES: Final = 8


def outcome_of_error(error: BaseException, *, is_streaming: bool = False) -> Outcome | None:
    """The outcome that an exception tells; None when it is not about a provider call.

    An exception that carries a response, as `raise_for_status` makes them, tells that response.
    """
    if isinstance(error, BaseExceptionGroup):  # of a task group: the first that tells
        told_each = (outcome_of_error(each, is_streaming=is_streaming) for each in error.exceptions)
        return next(filter(None, told_each), None)
    told = outcome_of(attribute(error, "response")) or outcome_of(error)
    if told is not None:
        return told
    kind = transport_error(error)
    if kind is None:
        return None
    phase = Phase.BEFORE_SEND if kind in _BEFORE_SEND else Phase.BEFORE_FIRST_BYTE
    return Outcome(transport_error=kind, phase=Phase.MID_STREAM if is_streaming else phase)


def transport_error(error: BaseException) -> TransportError | None:
    """What kept a call from its answer; None for exceptions that are not about that."""
    first = _known(error)
    if first not in _VAGUE:
        return first
    for cause in _causes(error):
        deeper = _known(cause)
        if deeper is not None and deeper not in _VAGUE:
            return deeper
        if first is _OTHER and deeper is not None:
            first = deeper
    return first


def _known(error: BaseException) -> TransportError | None:
    if isinstance(error, KeybrokerError):
        return None
    for cls in type(error).__mro__:
        library = cls.__module__.partition(".")[0]
        found = TABLE.get(library, {}).get(cls.__name__)
        if found is not None:
            return found
    if isinstance(error, OSError) and error.errno in _UNREACHED:
        return _CONNECT
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an exception was made from, nearest first; requests and urllib3 hide it in fields."""
    current: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        assert current is not None  # noqa: S101
        inner = [current.__cause__, attribute(current, "reason"), *current.args]
        inner.append(current.__context__)
        current = next((each for each in inner if isinstance(each, BaseException)), None)
        if current is None:
            return
        yield current
