"""The simulator reads the HTTP that clients really send, and refuses what is none."""

import asyncio

import pytest

from simulator import Simulator

ALPHA = "sk-openai-0123456789-live"


async def _exchange(sim: Simulator, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    writer.write(sent)
    writer.write_eof()
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


async def test_a_chunked_request_is_understood(sim: Simulator) -> None:
    head = (
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
        f"Authorization: bearer {ALPHA}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = b'5\r\n{"mod\r\nd;ext=1\r\nel":"gpt-4o"}\r\n0\r\ntrailer: x\r\n\r\n'
    assert (await _exchange(sim, head.encode() + body)).startswith(b"HTTP/1.1 200 OK")


async def test_a_connection_serves_calls_one_after_the_other(sim: Simulator) -> None:
    one = f"GET /openai/v1/models HTTP/1.1\r\nauthorization: Bearer {ALPHA}\r\n\r\n".encode()
    assert (await _exchange(sim, one * 3)).count(b"HTTP/1.1 200 OK") == 3


async def test_a_client_can_ask_to_close(sim: Simulator) -> None:
    one = b"GET /openai/v1/models HTTP/1.1\r\nconnection: close\r\n\r\n"
    received = await _exchange(sim, one * 3)
    assert received.count(b"HTTP/1.1 401") == 1
    assert b"connection: close" in received


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\r\n\r\n",
        b"GET /openai/v1/models SPDY/3\r\n\r\n",
        b"POST /openai/v1/chat/completions HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST /openai/v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /openai/v1/chat/completions HTTP/1.1\r\ncontent-length: 10\r\n\r\ncut",
        b"POST /openai/v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"GET /cut-head HTTP/1.1\r\nhost:",
        b"GET / HTTP/1.1\r\nx: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(sim: Simulator, sent: bytes) -> None:
    assert (await _exchange(sim, sent)).startswith(b"HTTP/1.1 400 Bad Request")
    assert sim.calls == []
