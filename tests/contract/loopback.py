"""A provider of a few lines: real HTTP on loopback, answering what a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Loopback:
    """Keeps the head of each request, then plays `script`."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.script: Script = say(404)
        self.speaks_first = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self.speaks_first:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
            await self.script(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the prober hung up, as it does when it has read enough
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    """A running provider; calls that still hang at the end are cancelled."""
    provider = Loopback()
    calls: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.add(asyncio.ensure_future(provider.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    provider.url = f"http://{host}:{port}"
    try:
        yield provider
    finally:
        server.close()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


def say(status: int, body: bytes = b"", headers: str = "content-type: application/json") -> Script:
    """Answer with a status and a whole body."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", "connection: close"]
    head = "\r\n".join([*lines, *headers.splitlines(), "", ""]).encode()
    return say_raw(head + body)


def say_raw(*parts: bytes) -> Script:
    """Send bytes as they are, and hang up."""

    async def script(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return script


def hang(*parts: bytes) -> Script:
    """Send bytes, then nothing more, for ever."""

    async def script(writer: asyncio.StreamWriter) -> None:
        await say_raw(*parts)(writer)
        await asyncio.Event().wait()

    return script
