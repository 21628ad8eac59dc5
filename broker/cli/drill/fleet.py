"""Where the drill plays: simulated providers, a Secrets Manager, a database, and the brokers."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

import grpc
import httpx
import psycopg

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.sql.upgrading import current_revision, upgrade_database
from broker.cli.demo.providers import MODELS, Providers
from broker.cli.drill.plan import PROVIDER, Plan
from broker.cli.drill.shelf import Shelf
from broker.cli.exits import CommandError, Exit
from broker.cli.processes import Child
from broker.core.secret import Secret
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from keybroker.v1 import status_pb2
from keybroker.v1.status_pb2_grpc import StatusServiceStub

READY_S: Final = 30.0
PASSWORD: Final = "KEYBROKER_DATABASE_PASSWORD"  # noqa: S105 - the variable's name

_GREETING: Final = "Keybroker serves gRPC on"
_CHANNEL: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel shares the wait of an old one
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


@dataclass(slots=True)
class Replica:
    """One broker; after a restart it listens where it did."""

    name: str
    child: Child
    settings: Mapping[str, str]
    address: str = "127.0.0.1:0"

    async def start(self) -> None:
        """Start it, and wait until it is ready. Raises CommandError."""
        own = {"KEYBROKER_GRPC_LISTEN": self.address, "KEYBROKER_REPLICA": self.name}
        told = await self.child.start({**self.settings, **own})
        self.address = told["Keybroker"].rpartition(" ")[2]
        try:
            async with asyncio.timeout(READY_S), self.channel() as channel:
                asked = status_pb2.WatchStatusRequest()
                async for answer in StatusServiceStub(channel).WatchStatus(asked):
                    if not answer.status.not_ready:
                        return
        except TimeoutError:
            message = f"{self.name} of the drill does not become ready"
            raise CommandError(Exit.FAILED, message) from None

    async def restart(self) -> None:
        """Have it end in order, and start it again."""
        await self.child.stop()
        await self.start()

    def channel(self) -> grpc.aio.Channel:
        """A way to it."""
        return grpc.aio.insecure_channel(self.address, _CHANNEL)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The running processes."""

    providers: Providers
    shelf: Shelf
    replicas: Mapping[str, Replica]
    http: httpx.AsyncClient
    database: str
    fingerprint_secret: str

    def revision(self, secret: str) -> str:
        """The name that the brokers give to a secret."""
        return Secret(secret).fingerprint(self.fingerprint_secret.encode())


@asynccontextmanager
async def open_fleet(plan: Plan, folder: Path, database: str, first: str) -> AsyncIterator[Fleet]:
    """Start everything, with a secret for the key, and end it all. Raises CommandError."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=10.0, trust_env=False))
        urls, shelf, stored = await asyncio.gather(
            _child(stack, folder, "provider simulator", "simulator", last="control "),
            _open_shelf(stack, folder),
            _open_database(stack, folder, database),
        )
        providers = Providers(urls["control"], http)
        await providers.open()
        await providers.issue(PROVIDER, first)
        await shelf.put(first)
        fingerprint_secret = secrets.token_hex(32)
        settings = {
            **shelf.variables,
            **stored,
            "KEYBROKER_HTTP_LISTEN": "",
            "KEYBROKER_ENV_FILE": os.devnull,
            "KEYBROKER_PROVIDERS": json.dumps({name: {"base_url": urls[name]} for name in MODELS}),
            "KEYBROKER_SOURCE_POLL_SECONDS": f"{plan.poll_s:g}",
            "KEYBROKER_LEASE_SECRETS": secrets.token_hex(32),
            "KEYBROKER_FINGERPRINT_SECRET": fingerprint_secret,
            "KEYBROKER_DRAIN_SECONDS": "2",
            "KEYBROKER_LOG_LEVEL": "info",
        }
        replicas = {
            name: Replica(name, Child(folder, name, "broker", ["serve"], last=_GREETING), settings)
            for name in plan.names
        }
        for replica in replicas.values():
            stack.push_async_callback(replica.child.stop)
        await asyncio.gather(*(replica.start() for replica in replicas.values()))
        version = await asyncio.to_thread(_version, stored)
        yield Fleet(providers, shelf, replicas, http, version, fingerprint_secret)


async def _child(
    stack: AsyncExitStack, folder: Path, name: str, module: str, *, last: str
) -> dict[str, str]:
    """Run a server until the stack ends it; what it says at its start."""
    child = Child(folder, name, module, last=last)
    stack.push_async_callback(child.stop)
    return await child.start({})


async def _open_shelf(stack: AsyncExitStack, folder: Path) -> Shelf:
    module = "simulator.secrets_manager"
    told = await _child(stack, folder, "Secrets Manager", module, last="http")
    shelf = Shelf(next(iter(told)))
    stack.push_async_callback(shelf.close)
    return shelf


async def _open_database(stack: AsyncExitStack, folder: Path, given: str) -> dict[str, str]:
    """The settings for a PostgreSQL, ours or the one given, with the schema of this version."""
    if given:
        settings = {"KEYBROKER_DATABASE": given}
        settings |= {PASSWORD: os.environ[PASSWORD]} if PASSWORD in os.environ else {}
    else:
        module = "simulator.postgres"
        told = await _child(stack, folder, "PostgreSQL", module, last="postgresql://")
        settings = _without_password(next(iter(told)))
    await asyncio.to_thread(_fill, settings)
    seal_key = folder / "seal.key"
    KeyFile(seal_key, Purpose.SEAL).obtain()
    return {**settings, "KEYBROKER_SEAL_KEY_FILE": str(seal_key)}


def _without_password(url: str) -> dict[str, str]:
    """The settings for a database whose URL holds the password."""
    parts = urlsplit(url)
    place = f"{parts.username}@{parts.hostname}:{parts.port}"
    bare = urlunsplit(parts._replace(netloc=place))
    return {"KEYBROKER_DATABASE": bare, PASSWORD: unquote(parts.password or "")}


def _fill(settings: Mapping[str, str]) -> None:
    """Make the tables; raises CommandError, also where there are some: they may be in use."""
    database = settings["KEYBROKER_DATABASE"], settings.get(PASSWORD)
    try:
        is_used = current_revision(*database) != ""
        if not is_used:
            upgrade_database(*database)
    except (StoreUnusableError, StoreUnavailableError) as error:
        raise CommandError(Exit.FAILED, f"the database of the drill: {error}") from None
    if is_used:
        message = "--database: holds a broker's tables already; make an empty database for a drill"
        raise CommandError(Exit.USAGE, message)


def _version(settings: Mapping[str, str]) -> str:
    """What the database server is, in its own words; raises CommandError."""
    try:
        password = settings.get(PASSWORD)
        with psycopg.connect(settings["KEYBROKER_DATABASE"], password=password) as connection:
            number = connection.info.parameter_status("server_version") or ""
    except psycopg.Error:
        raise CommandError(Exit.FAILED, "the database of the drill does not answer") from None
    return f"PostgreSQL {number.partition(' ')[0]}"
