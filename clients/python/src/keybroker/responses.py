"""Outcomes read from the responses of HTTP libraries, by shape: none of them is imported."""

import contextlib
import json
from collections.abc import Mapping
from typing import Final

from keybroker.outcome import MAX_BODY_BYTES, Outcome

_STATUS: Final = ("status_code", "status", "code")
"""httpx, requests and SDKs; aiohttp and http.client; urllib's HTTPError."""


def outcome_of(response: object) -> Outcome | None:
    """The outcome that a response tells; None when it is no response.

    The body is taken of what went wrong only, also in a 200: what a model wrote stays here. A
    stream that is not read yet is not touched.
    """
    status = _status(response)
    if status is None:
        return None
    headers = attribute(response, "headers")
    is_success = 200 <= status < 300
    body = _read_already(response) if is_success else _body(response)
    if is_success and not _tells_an_error(body):
        body = b""
    return Outcome(
        status=status,
        headers=_mapping(headers),
        body=body[:MAX_BODY_BYTES],
        truncated=len(body) > MAX_BODY_BYTES,
    )


def _status(response: object) -> int | None:
    if attribute(response, "headers") is None:
        return None
    for name in _STATUS:
        status = attribute(response, name)
        if isinstance(status, int) and 100 <= status <= 999:
            return int(status)
    return None


def _mapping(headers: object) -> dict[str, str]:
    """Headers as a plain dict; of a name that comes twice, the last."""
    with contextlib.suppress(Exception):
        pairs = headers.items() if isinstance(headers, Mapping) else dict(headers).items()  # type: ignore[call-overload]
        return {str(name): str(value) for name, value in pairs}
    return {}


def _body(response: object) -> bytes:
    """What a refusal says: short, so reading it is cheap where it has not been read."""
    content = attribute(response, "content")
    return bytes(content) if isinstance(content, bytes | bytearray) else b""


def _read_already(response: object) -> bytes:
    """The body of a success, if it lies in memory: asking requests for it would read a stream."""
    is_whole = attribute(response, "is_closed") is True  # httpx
    is_whole = is_whole or isinstance(attribute(response, "_content"), bytes)  # requests
    return _body(response) if is_whole else b""


def _tells_an_error(body: bytes) -> bool:
    if not body or len(body) > MAX_BODY_BYTES or b'"error"' not in body:
        return False
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(body)
        return isinstance(told, dict) and bool(told.get("error") or told.get("type") == "error")
    return False


def attribute(thing: object, name: str) -> object:
    """An attribute, None when it is not there or cannot be had, as of an unread stream."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - it is somebody else's property
        return None
