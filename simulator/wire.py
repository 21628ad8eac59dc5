"""HTTP/1.1 by hand: resets, half bodies and garbage need the raw connection."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_LAST_CHUNK: Final = b"0\r\n\r\n"


class MalformedRequestError(Exception):
    """The peer sent something that is no HTTP request the simulator can read."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, `path` is decoded, `raw_path` is not."""

    method: str
    raw_path: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        return self.headers.get("connection", "").lower() != "close"

    def document(self) -> Mapping[str, object] | None:
        """The body as a JSON object, or None when it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; one with `chunks` is sent chunk by chunk and has no `body`."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunks: tuple[bytes, ...] = ()


def json_answer(
    status: int,
    document: object,
    headers: tuple[tuple[str, str], ...] = (),
    content_type: str = "application/json",
) -> Answer:
    """An answer with a JSON body."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Answer(status, (("content-type", content_type), *headers), body)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None when the peer closed between requests.

    Raises MalformedRequestError for anything that is not HTTP/1.x within the size limits.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            message = "the connection ended inside the request head"
            raise MalformedRequestError(message) from None
        return None
    except asyncio.LimitOverrunError:
        message = "the request head is too long"
        raise MalformedRequestError(message) from None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != len(("method", "target", "version")) or not parts[2].startswith("HTTP/1."):
        message = "the request line is not HTTP/1.x"
        raise MalformedRequestError(message)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    target = urlsplit(parts[1])
    return Request(
        method=parts[0],
        raw_path=target.path,
        path=unquote(target.path),
        query=dict(parse_qsl(target.query)),
        headers=headers,
        body=await _read_body(reader, headers),
    )


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await _read_chunked(reader)
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= MAX_BODY_BYTES:
            message = "the request body has no acceptable length"
            raise MalformedRequestError(message)
        return await reader.readexactly(length)
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        message = "the request body is cut or has no acceptable length"
        raise MalformedRequestError(message) from None


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if size < 0 or len(body) + size > MAX_BODY_BYTES:
            raise ValueError(size)
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def head_bytes(answer: Answer, *, date: str, keep_alive: bool) -> bytes:
    """The status line and headers; the length is that of the whole body, also when it is cut."""
    phrase = HTTPStatus(answer.status).phrase if answer.status in _KNOWN_STATUSES else "Unknown"
    framing = (
        ("transfer-encoding", "chunked")
        if answer.chunks
        else ("content-length", str(len(answer.body)))
    )
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in (*answer.headers, framing, ("date", date))]
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


_KNOWN_STATUSES: Final = frozenset(int(status) for status in HTTPStatus)


def chunk_bytes(chunk: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(chunk), chunk)


def last_chunk_bytes() -> bytes:
    """The end of a chunked body."""
    return _LAST_CHUNK
