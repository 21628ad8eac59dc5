"""Bodies and exceptions of strangers: as much of them as is needed, and never a secret."""

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

from broker.core.verdicts.dialect import EACH, FreeProbe, JsonPath

MAX_MODELS: Final = 5_000
"""Names taken from one listing; no provider lists a tenth of that."""

MAX_NAME_CHARS: Final = 256


async def read_up_to(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The body's first `limit` bytes, and whether there were more.

    Bytes come as they are sent: an encoding that nobody asked for could unpack to gigabytes.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return b"", True
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def is_json_like(body: bytes) -> bool:
    """Whether a body can be an API's answer, rather than the page of a portal on the way."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}


def listed_models(probe: FreeProbe, body: bytes) -> tuple[str, ...]:
    """The model names in a whole listing, in its order; none in anything else."""
    if not probe.model_names:
        return ()
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    names: dict[str, None] = {}
    for leaf in _leaves(root, probe.model_names):
        name = leaf.removeprefix(probe.model_prefix) if isinstance(leaf, str) else ""
        if 0 < len(name) <= MAX_NAME_CHARS and name.isprintable():
            names[name] = None
        if len(names) == MAX_MODELS:
            break
    return tuple(names)


def _leaves(value: object, path: JsonPath) -> Iterator[object]:
    if not path:
        yield value
    elif path[0] == EACH:
        for element in value if isinstance(value, list) else ():
            yield from _leaves(element, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _leaves(value[path[0]], path[1:])


def why_no_answer(error: BaseException) -> str:
    """What kept an answer away, in words of our own: a driver's message may quote a header."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the TLS certificate cannot be verified"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, socket.gaierror):
            return "the host name cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
