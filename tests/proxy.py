"""A TCP proxy that does to a connection what networks and servers do to them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 65536


class Proxy:
    """Passes bytes on until it is told otherwise; connections that there are feel it too.

    `delay_s` is how much later bytes from the server arrive.
    """

    def __init__(self, host: str, port: int) -> None:
        self.delay_s = 0.0
        self.connections = 0
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._is_away = False
        self._lost: Callable[[bytes], bool] = lambda _: False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def url(self, url: str) -> str:
        """The same URL, by way of the proxy."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))

    def cut(self) -> None:
        """End all connections, and every new one at once."""
        self._is_away = True
        self.reset()

    def reset(self) -> None:
        """End all connections; new ones are as good as ever."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Take whatever comes, and pass nothing on."""
        self._open.clear()

    def lose(self, sent: bytes) -> None:
        """When a client sends this, pass it on, and end its connection before the answer."""
        self._lost = lambda data: sent in data

    def heal(self) -> None:
        """Be a good proxy again; what was held back is passed on."""
        self._is_away = False
        self.delay_s = 0.0
        self._lost = lambda _: False
        self._open.set()

    async def _begin(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _end(self) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._open.wait()
            if self._is_away:
                return
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                self._writers.add(far_writer)
                try:
                    await self._pass_both_ways(reader, writer, far_reader, far_writer)
                finally:
                    self._writers.discard(far_writer)
                    far_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        ways = {
            asyncio.ensure_future(self._pass(reader, far_writer, is_answer=False)),
            asyncio.ensure_future(self._pass(far_reader, writer, is_answer=True)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while data := await reader.read(_CHUNK):
            if is_answer and self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._open.wait()
            writer.write(data)
            await writer.drain()
            if not is_answer and self._lost(data):
                return


@asynccontextmanager
async def proxy_of(url: str) -> AsyncIterator[Proxy]:
    """A proxy of the server that a URL names."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    await proxy._begin()  # noqa: SLF001 - its own way in
    try:
        yield proxy
    finally:
        await proxy._end()  # noqa: SLF001
