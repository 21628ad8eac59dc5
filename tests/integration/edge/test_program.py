"""`keybroker serve` as a process: how it starts, what it says when it cannot, how it ends."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from keybroker.v1 import lease_pb2
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from tests.integration.edge.conftest import ASK, info_of

ROOT = Path(__file__).parents[3]

Connect = Callable[[int], Awaitable[grpc.aio.Channel]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start the program in an empty folder with settings by their variables."""
    async with AsyncExitStack() as stack:

        async def run(*, keys: str = "sk-0123456789", **given: str) -> asyncio.subprocess.Process:
            settings = {"GRPC_LISTEN": "127.0.0.1:0", "HTTP_LISTEN": "", "BOOT_PROBE": "off"}
            variables = {
                f"KEYBROKER_{name}": value for name, value in {**settings, **given}.items()
            }
            environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": keys}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "broker", "serve"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=tmp_path,
                env={**environ, **variables},
            )
            stack.push_async_callback(end, process)
            return process

        yield run


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def port_of(process: asyncio.subprocess.Process) -> int:
    """The port in its first line."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    return int(line.rpartition(":")[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains(start: Start, connect: Connect, number: signal.Signals) -> None:
    process = await start()
    stub = LeaseServiceStub(await connect(await port_of(process)))
    assert (await stub.AcquireLease(ASK)).lease.key_id == "openai/default"
    watch = stub.WatchKeys(lease_pb2.WatchKeysRequest())
    await watch.read()
    process.send_signal(number)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert info_of(caught.value).reason == "ERROR_REASON_DRAINING"
    _, errors = await asyncio.wait_for(process.communicate(), 10.0)
    assert process.returncode == 0
    logged = [json.loads(line)["event"] for line in errors.decode().splitlines()]
    assert logged[-2:] == ["draining", "stopped"]


async def test_without_keys_it_says_what_to_set(start: Start) -> None:
    process = await start(keys="")
    await port_of(process)
    assert process.stdout is not None
    assert b"OPENAI_API_KEY" in await process.stdout.readline()


@pytest.mark.parametrize("setting", ["GRPC_LISTEN", "HTTP_LISTEN"])
async def test_a_taken_port_is_one_clear_line(start: Start, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await start(**{setting: address})
        output, errors = await process.communicate()
    assert process.returncode == 1
    assert output == b""
    last = errors.decode().splitlines()[-1]
    assert last.startswith(f"keybroker: KEYBROKER_{setting}: cannot listen on {address}: ")
    assert "Traceback" not in errors.decode()


async def test_wrong_settings_are_told_all_at_once_without_a_traceback(start: Start) -> None:
    process = await start(GRPC_LISTEN="0.0.0.0:1", LOG_LEVEL="loud", TOKENS="[hunter2")
    _, errors = await process.communicate()
    text = errors.decode()
    assert process.returncode == 2
    assert "hunter2" not in text
    assert "Traceback" not in text
    for name in ("GRPC_LISTEN", "LOG_LEVEL", "TOKENS"):
        assert f"KEYBROKER_{name}: " in text


async def test_a_database_that_cannot_be_used_is_one_clear_line(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "broken.db").write_text("this is no database, and was never meant to be one\n")
    process = await start(DATABASE="sqlite:///broken.db")
    output, errors = await process.communicate()
    assert process.returncode == 8
    assert output == b""
    last = errors.decode().splitlines()[-1]
    assert last.startswith("keybroker: the database ")
    assert "Traceback" not in errors.decode()
