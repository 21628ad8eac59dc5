"""Canaries for secrets: a broker full of them, a provider that echoes, a witness of it all.

The keys look like no provider's, so that no mask of known shapes saves a line that should not have
held them.
"""

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from keybroker.v1 import (
    lease_pb2,
)
from simulator import Simulator
from tests.e2e.conftest import MODELS

ROOT = Path(__file__).parents[2]
MARK = "zqcanary"
"""Stands at the start of every secret, so that a piece of one is found too."""

GATEWAY_TOKEN = f"{MARK}-token-of-the-gateway"
OTHER_TOKEN = f"{MARK}-token-of-the-other-gateway"
OPERATOR_TOKEN = f"{MARK}-token-of-the-operator"
STRAY_TOKEN = f"{MARK}-token-of-nobody-at-all"
LEASE_SECRET = f"{MARK}-signs-leases-0123456789abcdef"
FINGERPRINT_SECRET = f"{MARK}-names-revisions-0123456789abcdef"
SIGNED = "kb1."
"""How lease ids begin: they let their principal report, so no log shows them either."""

BROKEN = '''
"""Makes GetKey of one key fail in the worst way: everything at hand is in the exception."""

from broker.core.key import Key
from broker.services.inventory import Inventory

good = Inventory.key


def key(self: Inventory, key_id: str) -> object:
    if key_id != "broken":
        return good(self, key_id)
    keys: list[Key] = self.keyring.keys()
    raise RuntimeError(keys, keys[0].secret, self)


Inventory.key = key
'''
"""A `sitecustomize` for the broker's process."""


def canary(name: str) -> str:
    """A secret for a key."""
    return f"{MARK}-{name}-0123456789"


KEYS = {name: canary(name) for name in (*MODELS, "evil", "twin", "listed", "rotated")}
SECRETS = [
    *KEYS.values(),
    *(GATEWAY_TOKEN, OTHER_TOKEN, OPERATOR_TOKEN, STRAY_TOKEN, LEASE_SECRET, FINGERPRINT_SECRET),
]


def leaks_in(data: bytes) -> list[str]:
    """The secrets that show in some bytes, as they are or encoded."""
    found = [MARK] if MARK.encode() in data else []
    for secret in SECRETS:
        raw = secret.encode()
        forms = (raw.hex().encode(), base64.b64encode(raw), secret.upper().encode())
        found += [secret for form in forms if form in data]
    return found


@dataclass
class Witness:
    """Everything that anybody was told, by where."""

    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def hear(self, place: str, message: Message) -> None:
        """Keep an answer, apart from the one secret that a lease is there to hand over."""
        kept = type(message).FromString(message.SerializeToString())
        for lease in (kept, getattr(kept, "lease", None)):
            if isinstance(lease, lease_pb2.AcquireLeaseResponse):
                lease = lease.lease  # noqa: PLW2901 - the lease in it
            if isinstance(lease, lease_pb2.Lease) and lease.HasField("api_key"):
                lease.api_key.ClearField("secret")
        self.heard.append((place, kept.SerializeToString()))

    async def call(self, place: str, call: Awaitable[Any]) -> Any:
        """The answer to a call, or None; what it said or failed with is kept."""
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            told = [error.details(), error.debug_error_string(), error.initial_metadata()]
            told += [error.trailing_metadata()]
            self.heard.append((place, repr(told).encode()))
            return None
        self.hear(place, answer)
        return answer

    def leaks(self) -> dict[str, list[str]]:
        """Where secrets showed."""
        return {place: found for place, data in self.heard if (found := leaks_in(data))}


class Echo:
    """A hostile provider: whatever header and path it is sent stands everywhere in its answer."""

    def __init__(self) -> None:
        self.answers: list[Callable[[str], bytes]] = [_denied, _moved, _reasoned, _listing]
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            _, _, sent = head.partition("Bearer ")
            answer = self.answers[min(self.asked, len(self.answers) - 1)]
            self.asked += 1
            writer.write(answer(sent.partition("\r\n")[0]))
            await writer.drain()
            writer.close()
            await writer.wait_closed()


def _http(status: str, body: str, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _listing(secret: str) -> bytes:
    rows = [{"id": secret}, {"id": f"ft:{secret}:1"}, {"id": secret.upper()}, {"id": "honest"}]
    return _http("200 OK", json.dumps({"data": rows}), f"x-echo: {secret}", f"set-cookie: {secret}")


def _denied(secret: str) -> bytes:
    error = {"message": f"Incorrect API key provided: {secret}.", "type": secret, "code": secret}
    return _http("401 Unauthorized", json.dumps({"error": error}), f"retry-after: {secret}")


def _moved(secret: str) -> bytes:
    return _http("302 Found", "", f"location: http://127.0.0.1:1/{secret}")


def _reasoned(secret: str) -> bytes:
    return f"HTTP/1.1 2OO {secret}\r\n{secret}: {secret}\r\n\r\n{secret}".encode()


@dataclass
class Broker:
    """The process, and what is on its doors."""

    process: asyncio.subprocess.Process
    grpc_port: int
    http_port: int
    env_file: Path
    sim: Simulator
    witness: Witness


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker with canaries for keys, tokens and secrets, and a hostile provider."""
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator.start())
        for name in MODELS:
            sim.add_key(name, KEYS[name])
        sim.add_key("openai", KEYS["rotated"])
        hostile = await asyncio.start_server(Echo().serve, "127.0.0.1", 0)
        stack.callback(hostile.close)
        port = hostile.sockets[0].getsockname()[1]
        providers: dict[str, object] = {name: {"base_url": sim.base_url(name)} for name in MODELS}
        providers["evil"] = {"dialect": "openai", "base_url": f"http://127.0.0.1:{port}/v1"}
        env_file = tmp_path / ".env"
        env_file.write_text(env_text("openai"))
        (tmp_path / "sitecustomize.py").write_text(BROKEN)
        settings = {
            "GRPC_LISTEN": "127.0.0.1:0",
            "HTTP_LISTEN": "127.0.0.1:0",
            "LOG_LEVEL": "debug",
            "PROBE_TIMEOUT_SECONDS": "2",
            "LEASE_SECRETS": json.dumps([LEASE_SECRET]),
            "FINGERPRINT_SECRET": FINGERPRINT_SECRET,
            "TOKENS": json.dumps(_tokens()),
            "PROVIDERS": json.dumps(providers),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-m", "broker", "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=stack.enter_context((tmp_path / "stderr").open("wb")),
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
                **{f"KEYBROKER_{name}": value for name, value in settings.items()},
            },
        )
        stack.push_async_callback(_end, process)
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()
        second = (await process.stdout.readline()).decode()
        http_port = httpx.URL(second.split()[-1]).port or 0
        grpc_port = int(first.rpartition(":")[2])
        yield Broker(process, grpc_port, http_port, env_file, sim, Witness())


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def _tokens() -> list[dict[str, object]]:
    return [
        {"name": "gateway", "token": GATEWAY_TOKEN, "roles": ["gateway"]},
        {"name": "other", "token": OTHER_TOKEN, "roles": ["gateway"], "tenants": ["acme-*"]},
        {"name": "operator", "token": OPERATOR_TOKEN, "roles": ["operator"]},
    ]


def env_text(openai: str) -> str:
    """The keys, and every fault that a line can have, with a secret in the middle of it."""
    lines = [f"{name.upper()}_API_KEY={KEYS[name]}" for name in MODELS if name != "openai"]
    lines += [
        f"OPENAI_API_KEY_1={KEYS[openai]}",
        "OPENAI_API_KEY_1__CONCURRENCY=2",
        f"EVIL_API_KEY_1={KEYS['evil']}",
        f"OPENAI_API_KEY_2={KEYS['twin']},{KEYS['twin']},{KEYS['listed']} with a space",
        f"OPENAI_API_KEY_{KEYS['twin']}=1",
        f"OPENAI_API_KEY_3={KEYS['twin']}-three",
        f"OPENAI_API_KEY_3__WEIGHT={KEYS['twin']}",
        f"OPENAI_API_KEY_3__BASE_URL=http://{KEYS['twin']}@example.com/",
        f"OPENAI_API_KEY_3__{KEYS['twin'].upper().replace('-', '_')}=1",
        f"MISTRAL_API_KEY_9={KEYS['mistral']}",
        f'GROQ_API_KEY_4="{KEYS["twin"]} never ends',
        f"{KEYS['twin']}",
        f"= {KEYS['twin']}",
    ]
    return "\n".join(lines) + "\n"
