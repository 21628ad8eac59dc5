"""The simulator on a loopback port: connections in, plays performed."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, Self

from simulator.control import CONTROL_PATH, control
from simulator.decision import Play, decide
from simulator.dialects import DIALECTS
from simulator.switchboard import Switchboard, UnknownDialectError, utc_now
from simulator.wire import (
    Answer,
    MalformedRequestError,
    Request,
    chunk_bytes,
    head_bytes,
    json_answer,
    last_chunk_bytes,
    read_request,
)
from simulator.words import Ending

_GARBAGE: Final = b"\x16\x03\x01\x02\x00\xff\xfe this is no HTTP \x00\x01\r\n\r\n"
_LINGER_NOT: Final = struct.pack("ii", 1, 0)
_WITHOUT_ANSWER: Final = frozenset({Ending.CLOSE, Ending.RESET, Ending.GARBAGE})
_BACKLOG: Final = 1024


class Simulator(Switchboard):
    """A switchboard whose providers listen on one port of this machine.

    Use it as `async with Simulator.start() as sim`; leaving stops it at once, whatever still
    hangs. It needs no thread: it runs in the event loop that started it.
    """

    _server: asyncio.Server
    _host: str

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        seed: int = 0,
    ) -> None:
        super().__init__(clock=clock, wall=wall, seed=seed)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._stirred = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        seed: int = 0,
    ) -> AsyncIterator[Self]:
        """Listen on a port, 0 for any free one; raises OSError for a taken one."""
        simulator = cls(clock=clock, wall=wall, seed=seed)
        simulator._host = host
        simulator._server = await asyncio.start_server(
            simulator._accept, host, port, backlog=_BACKLOG
        )
        try:
            yield simulator
        finally:
            await simulator._stop()

    @property
    def port(self) -> int:
        """The port of every provider and of the control API."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def origin(self) -> str:
        """`http://host:port`, without a path."""
        return f"http://{self._host}:{self.port}"

    def base_url(self, dialect: str) -> str:
        """What stands in for a provider's real base URL; raises UnknownDialectError."""
        if dialect not in DIALECTS:
            raise UnknownDialectError(dialect)
        return self.origin + DIALECTS[dialect].base

    @property
    def control_url(self) -> str:
        """Where the control API listens, with a slash at the end."""
        return self.origin + CONTROL_PATH

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; it is asked whenever a call has arrived or ended."""
        while not holds():
            await self._stirred.wait()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = asyncio.Event()

    async def _stop(self) -> None:
        self._server.close()
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._attend(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except MalformedRequestError as error:
            answer = json_answer(400, {"error": {"message": str(error)}})
            writer.write(self._head(answer, keep_alive=False) + answer.body)
        except ConnectionError:
            pass  # the client went away, which is its right
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            if request.path.startswith(CONTROL_PATH):
                answer = control(self, request)
                writer.write(self._head(answer, keep_alive=request.keeps_alive) + answer.body)
                await writer.drain()
                goes_on = True
            else:
                goes_on = await self._perform(decide(self, request), request, reader, writer)
            if not goes_on or not request.keeps_alive:
                return

    async def _perform(
        self,
        play: Play,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Send the answer as the play says; whether the connection can be used again."""
        self._stir()
        try:
            if play.hang is not None and not await _is_released(play.hang, reader):
                return False
            await asyncio.sleep(play.delay_s)
            if play.ending in _WITHOUT_ANSWER:
                _break_off(play.ending, writer)
                return False
            play.call.status = play.answer.status
            if play.key is not None:
                play.key.answers[play.answer.status] += 1
            head = self._head(play.answer, keep_alive=request.keeps_alive)
            if play.answer.chunks:
                await _send_chunks(head, play, writer)
            else:
                body = play.answer.body
                kept = len(body) // 2 if play.ending is Ending.HALF else len(body)
                writer.write(head + body[:kept])
                await writer.drain()
            return play.ending is Ending.WHOLE
        finally:
            if play.key is not None:
                play.key.in_flight -= 1
            self._stir()

    def _head(self, answer: Answer, *, keep_alive: bool) -> bytes:
        date = format_datetime(self.wall().astimezone(UTC), usegmt=True)
        return head_bytes(answer, date=date, keep_alive=keep_alive)


async def _send_chunks(head: bytes, play: Play, writer: asyncio.StreamWriter) -> None:
    chunks = play.answer.chunks
    step_s = play.spread_s / max(1, len(chunks) - 1)
    if play.ending is Ending.HALF:
        chunks = chunks[: (len(chunks) + 1) // 2]
    for number, chunk in enumerate(chunks):
        if number:
            await asyncio.sleep(step_s)
        writer.write((b"" if number else head) + chunk_bytes(chunk))
        await writer.drain()
    if play.ending is Ending.WHOLE:
        writer.write(last_chunk_bytes())
        await writer.drain()


async def _is_released(hang: asyncio.Event, reader: asyncio.StreamReader) -> bool:
    """Wait for the release, or for the client to go away first."""
    released = asyncio.ensure_future(hang.wait())
    gone = asyncio.ensure_future(reader.read(1))  # a waiting client sends nothing but its end
    try:
        await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
        return released.done()
    finally:
        released.cancel()
        gone.cancel()
        await asyncio.gather(released, gone, return_exceptions=True)


def _break_off(ending: Ending, writer: asyncio.StreamWriter) -> None:
    """End the connection without an answer."""
    if ending is Ending.GARBAGE:
        writer.write(_GARBAGE)
    if ending is Ending.RESET:
        # Closing a socket that does not linger sends RST instead of FIN.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        writer.transport.abort()
