"""Brokers as processes, in a folder that outlives them: started, killed, started again.

Every secret here carries `MARK`. In the end nothing that a process wrote may hold it: no output, no
log, no database and no key file; nor a traceback, or a word of asyncio's about a lost exception.
"""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest

from simulator import Simulator
from tests.e2e.command import PROGRAM, environment
from tests.e2e.conftest import MODELS
from tests.e2e.running import Broker
from tests.gateway import Gateway

MARK = "zqcanary"
BAD_SIGNS = (b"Traceback", b"never retrieved", b"never awaited", b"Fatal Python error")
START_S = 20.0
TENANTS = ("acme", "bravo", "charlie", "delta", "echo", "foxtrot")
"""Those of whom a database may hold a key from the beginning."""


class Died(NamedTuple):
    """How a process ended by itself, and the last thing that it said."""

    code: int
    last: str


@dataclass
class House:
    """A folder with a `.env`, a provider beside it, and the brokers that live there in turn."""

    stack: AsyncExitStack
    folder: Path
    sim: Simulator
    kept: Path
    settings: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    logs: list[Path] = field(default_factory=list)

    @property
    def env_file(self) -> Path:
        return self.folder / ".env"

    @property
    def keys_file(self) -> Path:
        return self.folder / "keys.toml"

    @property
    def database(self) -> Path:
        named = self.settings.get("DATABASE", ".keybroker/keybroker.db")
        return self.folder / named.removeprefix("sqlite:///")

    def beside(self, name: str) -> Path:
        """A file beside the database."""
        return self.database.with_name(name)

    def issue(self, name: str, provider: str = "openai") -> str:
        """A secret that the provider accepts."""
        secret = f"sk-{MARK}-{name}"
        self.sim.add_key(provider, secret, label=name)
        return secret

    def write_env(self, **values: str) -> None:
        """Put these variables into the `.env`, in place of all others, by a rename."""
        draft = self.folder / ".env.new"
        draft.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        draft.replace(self.env_file)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Do something to the database behind the broker's back."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    async def keep_tenants(self) -> None:
        """A database with a key of each of TENANTS, on which no broker runs."""
        secrets = {tenant: self.issue(tenant) for tenant in TENANTS}
        if not self.kept.exists():  # made once in a test run
            broker = await self.start(BOOT_PROBE="off")
            for tenant, secret in secrets.items():
                await broker.create(tenant, secret, f"{tenant}-1")
            await broker.stop()
            shutil.copytree(self.database.parent, self.kept)
        shutil.copytree(self.kept, self.database.parent, dirs_exist_ok=True)

    async def start(self, **settings: str) -> Broker:
        """A broker that serves; fails the test with what it said where it does not."""
        process, log = await self._run(settings)
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            greeting = (await process.stdout.readline()).decode()
        assert "serves gRPC on" in greeting, log.read_text()
        address = greeting.split()[-1]
        channel = grpc.aio.insecure_channel(address)
        await self.stack.enter_async_context(channel)
        http = await self.stack.enter_async_context(httpx.AsyncClient(timeout=10.0))
        return Broker(process, log, address, Gateway(channel, http))

    async def start_and_kill(self, after_s: float, **settings: str) -> None:
        """A broker that is killed so soon, whether it serves by then or not."""
        process, _ = await self._run(settings)
        await asyncio.sleep(after_s)
        process.kill()
        await process.wait()

    async def refused(self, **settings: str) -> Died:
        """How a broker ends that must not serve: with one line for a person, after its log."""
        process, log = await self._run(settings)
        code = await asyncio.wait_for(process.wait(), START_S)
        assert process.stdout is not None
        assert await process.stdout.read() == b""
        return Died(code, log.read_text().splitlines()[-1])

    async def _run(self, settings: dict[str, str]) -> tuple[asyncio.subprocess.Process, Path]:
        providers = {name: {"base_url": self.sim.base_url(name)} for name in MODELS}
        given = {
            "GRPC_LISTEN": "127.0.0.1:0",
            "HTTP_LISTEN": "",
            "PROVIDERS": json.dumps(providers),
            "DRAIN_SECONDS": "1",
        }
        environ = environment(**{**given, **self.settings, **settings})
        log = self.folder / f"broker-{len(self.logs)}.log"
        self.logs.append(log)
        process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env={**environ, **self.env},
        )
        writing = asyncio.create_task(_write_down(process, log))
        self.stack.push_async_callback(_end, process, writing)
        return process, log

    def check_what_was_written(self) -> None:
        """No secret anywhere but where people put it, and nothing that only developers read."""
        keys = {self.env_file, self.keys_file}
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in keys:
                content = path.read_bytes()
                assert MARK.encode() not in content, path
                for sign in BAD_SIGNS if path in self.logs else ():
                    assert sign not in content, content.decode(errors="replace")


@pytest.fixture
async def house(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """An empty folder beside a provider; in the end what was written there is looked through."""
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator.start())
        house = House(stack, tmp_path, sim, tmp_path_factory.getbasetemp() / "kept")
        house.write_env()
        yield house
    house.check_what_was_written()


def copied(database: Path, name: str) -> Path:
    """A database of its own with all that lies beside it; no broker may run on the first."""
    folder = database.parent.with_name(name)
    shutil.copytree(database.parent, folder)
    return folder / database.name


async def _write_down(process: asyncio.subprocess.Process, log: Path) -> None:
    """What a process logs, through a pipe: its own disk may be full."""
    assert process.stderr is not None
    with log.open("wb", buffering=0) as file:
        while some := await process.stderr.read(65536):
            file.write(some)


async def _end(process: asyncio.subprocess.Process, writing: asyncio.Task[None]) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
    await writing
