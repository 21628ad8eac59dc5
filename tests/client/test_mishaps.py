"""Exceptions of HTTP clients tell what went wrong, by the names of their classes alone."""

import errno
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from email.message import Message

import httpcore
import httpx
import pytest

from keybroker import CallTimeoutError, Phase, TransportError
from keybroker.mishaps import outcome_of_error, transport_error


def of(library: str, *names: str) -> BaseException:
    """An exception of a library that is not installed here; `names` from base to class."""
    base: type[BaseException] = Exception
    for name in names:
        base = type(name, (base,), {"__module__": f"{library}.exceptions"})
    return base()


def caused(error: BaseException, *causes: BaseException) -> BaseException:
    """An exception with its causes, nearest first."""
    current = error
    for cause in causes:
        current.__cause__ = cause
        current = cause
    return error


NO_NAME = socket.gaierror(-2, "Name or service not known")
BAD_CERT = ssl.SSLCertVerificationError("self-signed")

KNOWN = {
    "httpx refused": (httpx.ConnectError("no"), "CONNECT"),
    "httpx dns": (caused(httpx.ConnectError("no"), httpcore.ConnectError(), NO_NAME), "DNS"),
    "httpx tls": (caused(httpx.ConnectError("no"), httpcore.ConnectError(), BAD_CERT), "TLS"),
    "httpx connect timeout": (httpx.ConnectTimeout("slow"), "CONNECT"),
    "httpx read timeout": (httpx.ReadTimeout("slow"), "TIMEOUT"),
    "httpx write timeout": (httpx.WriteTimeout("slow"), "TIMEOUT"),
    "httpx pool": (httpx.PoolTimeout("full"), "CALLER_DEADLINE"),
    "httpx reset": (httpx.ReadError("reset"), "RESET"),
    "httpx write": (httpx.WriteError("reset"), "RESET"),
    "httpx protocol": (httpx.RemoteProtocolError("what"), "PROTOCOL"),
    "httpx decoding": (httpx.DecodingError("gzip"), "PROTOCOL"),
    "httpx proxy": (httpx.ProxyError("no"), "CONNECT"),
    "aiohttp dns": (of("aiohttp", "ClientConnectorError", "ClientConnectorDNSError"), "DNS"),
    "aiohttp tls": (of("aiohttp", "ClientSSLError", "ClientConnectorSSLError"), "TLS"),
    "aiohttp refused": (of("aiohttp", "ClientConnectorError"), "CONNECT"),
    "aiohttp timeout": (of("aiohttp", "ServerTimeoutError", "SocketTimeoutError"), "TIMEOUT"),
    "aiohttp reset": (of("aiohttp", "ServerDisconnectedError"), "RESET"),
    "aiohttp payload": (of("aiohttp", "ClientPayloadError"), "RESET"),
    "requests refused": (of("requests", "ConnectionError"), "CONNECT"),
    "requests connect timeout": (of("requests", "ConnectionError", "ConnectTimeout"), "CONNECT"),
    "requests read timeout": (of("requests", "Timeout", "ReadTimeout"), "TIMEOUT"),
    "requests tls": (of("requests", "ConnectionError", "SSLError"), "TLS"),
    "requests dns": (
        caused(of("requests", "ConnectionError"), of("urllib3", "NameResolutionError")),
        "DNS",
    ),
    "requests cut": (of("requests", "ChunkedEncodingError"), "RESET"),
    "urllib3 reset": (of("urllib3", "ProtocolError"), "RESET"),
    "openai timeout": (of("openai", "APIConnectionError", "APITimeoutError"), "TIMEOUT"),
    "openai refused": (
        caused(of("openai", "APIConnectionError"), httpx.ConnectError("")),
        "CONNECT",
    ),
    "anthropic": (caused(of("anthropic", "APIConnectionError"), httpx.ReadError("")), "RESET"),
    "urllib dns": (urllib.error.URLError(NO_NAME), "DNS"),
    "urllib refused": (urllib.error.URLError(ConnectionRefusedError()), "CONNECT"),
    "urllib tls": (urllib.error.URLError(BAD_CERT), "TLS"),
    "http gone": (http.client.RemoteDisconnected(""), "RESET"),
    "http cut": (http.client.IncompleteRead(b""), "RESET"),
    "http garbage": (http.client.BadStatusLine("?"), "PROTOCOL"),
    "refused": (ConnectionRefusedError(), "CONNECT"),
    "unreachable": (OSError(errno.ENETUNREACH, "no network"), "CONNECT"),
    "reset": (ConnectionResetError(), "RESET"),
    "pipe": (BrokenPipeError(), "RESET"),
    "timeout": (TimeoutError(), "TIMEOUT"),
    "tls": (BAD_CERT, "TLS"),
    "dns": (NO_NAME, "DNS"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_an_exception_is_known_by_its_class_or_by_what_caused_it(name: str) -> None:
    error, expected = KNOWN[name]
    assert transport_error(error) == TransportError(expected)


@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), FileNotFoundError(2, "no file"), KeyError("x"), CallTimeoutError("late")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_about_a_call_tells_nothing(error: Exception) -> None:
    assert outcome_of_error(error) is None


def test_how_far_a_call_came_follows_from_what_stopped_it() -> None:
    phases = {
        Phase.BEFORE_SEND: [httpx.ConnectError("no"), NO_NAME, BAD_CERT, httpx.PoolTimeout("")],
        Phase.BEFORE_FIRST_BYTE: [httpx.ReadTimeout("slow"), ConnectionResetError()],
    }
    for phase, errors in phases.items():
        for error in errors:
            told = outcome_of_error(error)
            assert told is not None
            assert told.phase is phase
    streamed = outcome_of_error(httpx.ReadError("cut"), is_streaming=True)
    assert streamed is not None
    assert streamed.phase is Phase.MID_STREAM


def test_an_exception_that_carries_an_answer_tells_that_answer() -> None:
    headers = Message()
    headers["Retry-After"] = "7"
    told = outcome_of_error(urllib.error.HTTPError("http://x", 429, "no", headers, None))
    assert told is not None
    assert (told.status, dict(told.headers)) == (429, {"Retry-After": "7"})
    assert told.transport_error is None


def test_in_a_group_the_first_that_tells_counts() -> None:
    group = BaseExceptionGroup("", [ValueError(), ExceptionGroup("", [httpx.ReadTimeout("slow")])])
    told = outcome_of_error(group)
    assert told is not None
    assert told.transport_error is TransportError.TIMEOUT
    assert outcome_of_error(ExceptionGroup("", [ValueError()])) is None


def test_a_circle_of_causes_is_walked_once() -> None:
    first, second = httpx.ConnectError("a"), httpx.ConnectError("b")
    first.__cause__, second.__cause__ = second, first
    assert transport_error(first) is TransportError.CONNECT


def test_real_failures_are_known() -> None:
    """What the libraries raise by themselves, on a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(httpx.ConnectError) as by_httpx:
        httpx.get(f"http://127.0.0.1:{port}")
    with pytest.raises(urllib.error.URLError) as by_urllib:
        urllib.request.urlopen(f"http://127.0.0.1:{port}")
    for told in (by_httpx, by_urllib):
        assert transport_error(told.value) is TransportError.CONNECT
