"""The container's health check against servers that answer as the broker does."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.edge.certificates import make_pair

SCRIPT = Path(__file__).parents[3] / "deploy/container/health.py"
READY = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n"
DRAINING = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 21\r\n\r\nstarting or draining\n"


@asynccontextmanager
async def server(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Something on a port of loopback that answers `/readyz`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /readyz HTTP/1.1\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as running:
        yield running.sockets[0].getsockname()[1]


async def ask(**environ: str) -> tuple[int | None, str]:
    """Run the check as the container does: its exit code, and what it says."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(SCRIPT)),
        env=environ,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await program.communicate()
    return program.returncode, said.decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - asked
async def test_a_broker_that_is_ready_is_healthy(host: str) -> None:
    async with server(READY) as port:
        assert await ask(KEYBROKER_HTTP_LISTEN=f"{host}:{port}") == (0, "")


async def test_a_broker_that_drains_is_not() -> None:
    async with server(DRAINING) as port:
        listen = f"127.0.0.1:{port}"
        assert await ask(KEYBROKER_HTTP_LISTEN=listen) == (1, "starting or draining\n")


async def test_a_broker_behind_tls_is_asked_whatever_name_its_certificate_has(
    tmp_path: Path,
) -> None:
    pair = make_pair(tmp_path, "broker.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    async with server(READY, tls) as port:
        listen = f"127.0.0.1:{port}"
        cert = str(pair.cert)
        assert await ask(KEYBROKER_HTTP_LISTEN=listen, KEYBROKER_TLS_CERT=cert) == (0, "")


async def test_a_broker_that_is_not_there_is_not_healthy() -> None:
    async with server(READY) as port:
        pass
    code, said = await ask(KEYBROKER_HTTP_LISTEN=f"127.0.0.1:{port}")
    assert (code, said.split(":")[0]) == (1, "ConnectionRefusedError")


async def test_without_http_the_grpc_port_has_to_take_connections() -> None:
    async with server(READY) as port:
        listen = f"127.0.0.1:{port}"
        asked = {"KEYBROKER_HTTP_LISTEN": "", "KEYBROKER_GRPC_LISTEN": listen}
        assert await ask(**asked) == (0, "")
    code, _ = await ask(**asked)
    assert code == 1


async def test_something_else_on_the_port_is_not_healthy() -> None:
    async with server(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        code, said = await ask(KEYBROKER_HTTP_LISTEN=f"127.0.0.1:{port}")
    assert (code, said.split(":")[0]) == (1, "BadStatusLine")
