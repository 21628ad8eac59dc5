"""A proxy in front of Secrets Manager, which passes calls on or plays what goes wrong."""

import asyncio
import json
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum, auto
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import urlsplit

SLOW_S = 30.0


class Mishap(StrEnum):
    """What may happen to a call, beside an error that AWS tells."""

    SLOW = auto()
    DRIPS = auto()
    RESET = auto()
    TRUNCATED = auto()
    NO_JSON = auto()
    WEIRD_JSON = auto()
    HTML = auto()


@dataclass(frozen=True, slots=True)
class Refused:
    """An error that AWS tells."""

    code: str
    status: int = 400
    message: str = "no"


class FaultProxy:
    """`mishaps` are by operation as AWS names it, or "*"; `calls` counts what came in."""

    def __init__(self, behind: str) -> None:
        self.mishaps: dict[str, Mishap | Refused] = {}
        self.calls: Counter[str] = Counter()
        self.url = ""
        self._behind = urlsplit(behind)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, and one call on it."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = _headers(head)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            self.calls[operation] += 1
            mishap = self.mishaps.get(operation) or self.mishaps.get("*")
            if mishap is Mishap.SLOW:
                await asyncio.sleep(SLOW_S)
            elif isinstance(mishap, Refused):
                said = {"__type": mishap.code, "Message": mishap.message}
                writer.write(_answer(json.dumps(said).encode(), mishap.status))
            else:
                answer = await self._passed_on(_closing(head), body)
                await _spoil(writer, answer, mishap)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller gave up
        finally:
            writer.close()

    async def _passed_on(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        writer.write(head + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def fault_proxy(behind: str) -> AsyncIterator[FaultProxy]:
    """A proxy on loopback; what hangs in it ends with it."""
    proxy, calls = FaultProxy(behind), set[asyncio.Task[None]]()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        calls.add(task)
        task.add_done_callback(calls.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.url = f"http://{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await server.wait_closed()


async def _spoil(writer: asyncio.StreamWriter, answer: bytes, mishap: Mishap | None) -> None:
    body = answer.partition(b"\r\n\r\n")[2]
    match mishap:
        case Mishap.RESET:
            # Without lingering, closing a socket resets the connection.
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
            writer.transport.abort()
        case Mishap.TRUNCATED:
            writer.write(answer[: len(answer) - len(body) // 2])
        case Mishap.DRIPS:
            for at in range(len(answer)):
                writer.write(answer[at : at + 1])
                await asyncio.sleep(0.2)
        case Mishap.NO_JSON:
            writer.write(_answer(body[: len(body) // 2], 200))
        case Mishap.WEIRD_JSON:
            writer.write(_answer(b'[{"SecretString": "x"}]', 200))
        case Mishap.HTML:
            writer.write(_answer(b"<html><body>Bad gateway</body></html>", 200))
        case None:
            writer.write(answer)
        case _:
            raise AssertionError(mishap)


def _answer(body: bytes, status: int) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _closing(head: bytes) -> bytes:
    """The request, on a connection that ends with the answer."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith((b"connection:", b"expect:"))]
    return b"\r\n".join([*kept, b"Connection: close", b"", b""])
