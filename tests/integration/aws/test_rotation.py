"""A broker whose keys live in Secrets Manager: wrong secrets, dead ones, and no Secrets Manager."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.adapters.aws import SecretsManagerSource, Selector
from broker.app import App, build
from broker.config import Settings
from broker.core.denial import Denial, Target
from broker.core.key import Key
from broker.core.outcome import Outcome
from broker.core.provider import Provider
from broker.core.words import DenialReason, ProbeResult
from broker.ports.event_history import Event
from broker.ports.prober import Probed, Prober
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.principal import Principal, Role
from broker.services.reports import Report
from tests.aws import HASTE, Vault, aws_clients, aws_url, new_prefix

GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
GPT = AcquireRequest(Target("openai", "gpt-4o"))
WORKS, REVOKED, BOGUS, NEXT = "sk-works-0123", "sk-revoked-0123", "sk-bogus-0123", "sk-next-0123"
POLL_S = 3600.0
"""So that nothing but what hurries a reading explains that there was one."""

PHRASE = json.dumps({"error": {"code": "invalid_api_key", "type": "invalid_request_error"}})
REJECTED = Outcome(http_status=401, body=PHRASE.encode())


class Provider401(Prober):
    """A provider that accepts some secrets."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)

    async def probe(self, key: Key, provider: Provider) -> Probed:
        """What the provider says of the secret."""
        await asyncio.sleep(0.02)
        is_good = key.secret.reveal() in self.accepted
        result = ProbeResult.AUTHENTICATED if is_good else ProbeResult.REJECTED
        return Probed(result, reached=True, detail=provider.name)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def name() -> str:
    return f"{new_prefix()}openai"


@asynccontextmanager
async def a_broker(name: str, folder: Path, prober: Prober, url: str = "") -> AsyncIterator[App]:
    settings = Settings(
        database=f"sqlite:///{folder}/keybroker.db",
        grpc_listen="127.0.0.1:0",
        http_listen="",
        env_file=os.devnull,  # type: ignore[arg-type]
        source_poll_seconds=POLL_S,
    )
    clients = aws_clients(url or aws_url(), HASTE)
    source = SecretsManagerSource([Selector(name, "", "", "")], ("openai",), b"names", clients)
    app = await build(settings, environ={}, sources=[source], prober=prober)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
        await clients.close()


async def leased(app: App) -> str:
    """The secret that is leased, or why there is none."""
    answer = await app.core.leasing.acquire(GATEWAY, GPT)
    return answer.reason if isinstance(answer, Denial) else answer.key.secret.reveal()


async def call(app: App, outcome: Outcome) -> None:
    answer = await app.core.leasing.acquire(GATEWAY, GPT)
    assert isinstance(answer, Grant)
    await app.core.outcomes.report(GATEWAY, Report(answer.lease_id, outcome))


async def until(check: Callable[[], bool], within_s: float) -> float:
    """How long it took until it was so, in seconds."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() < began + within_s, "too late"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def told(app: App, kind: str) -> Event:
    """The event of this kind, once it is there."""
    async with asyncio.timeout(5.0):
        while True:
            for event in await events(app):
                if event.kind == kind:
                    return event
            await asyncio.sleep(0.02)


async def events(app: App) -> list[Event]:
    page, _ = await app.core.world.history.page(before=None, limit=1000)
    return list(page)


async def test_a_start_on_a_bogus_secret_leases_what_was_there_before(
    name: str, tmp_path: Path
) -> None:
    vault, prober = Vault(), Provider401(WORKS)
    vault.put(name, WORKS)
    vault.put(name, BOGUS)
    async with a_broker(name, tmp_path, prober) as app:
        assert await leased(app) == WORKS
        await told(app, "revision_rejected")
        await told(app, "revision_adopted")
        vault.put(name, NEXT)
        prober.accepted.add(NEXT)
        await app.core.refreshing.refresh()
        await until(lambda: app.core.keyring.key("openai/default").secret.reveal() == NEXT, 2.0)


async def test_a_start_on_a_right_secret_serves_it_at_once(name: str, tmp_path: Path) -> None:
    vault = Vault()
    vault.put(name, REVOKED)
    vault.put(name, WORKS)
    async with a_broker(name, tmp_path, Provider401(WORKS)) as app:
        assert await leased(app) == WORKS
        assert "circuit_opened" not in {event.kind for event in await events(app)}


async def test_a_revoked_key_serves_again_two_seconds_after_its_new_secret_is_readable(
    name: str, tmp_path: Path
) -> None:
    vault, prober = Vault(), Provider401(REVOKED)
    vault.put(name, REVOKED)
    async with a_broker(name, tmp_path, prober) as app:
        assert await leased(app) == REVOKED
        prober.accepted = {NEXT}
        await call(app, REJECTED)
        assert await leased(app) == DenialReason.QUARANTINED
        await asyncio.sleep(2.5)
        await asyncio.to_thread(vault.put, name, NEXT)
        found = app.core.keyring.key
        took_s = await until(lambda: found("openai/default").secret.reveal() == NEXT, 5.0)
        assert took_s <= 2.0
        assert await leased(app) == NEXT
        assert (await told(app, "key_rotated")).attributes["version"]


async def test_a_start_without_secrets_manager_serves_from_the_copy_of_the_last_run(
    name: str, tmp_path: Path
) -> None:
    Vault().put(name, WORKS)
    async with a_broker(name, tmp_path, Provider401(WORKS)) as app:
        assert await leased(app) == WORKS
    (copy,) = (tmp_path / "copies").iterdir()
    assert WORKS.encode() not in copy.read_bytes()
    async with a_broker(name, tmp_path, Provider401(WORKS), "http://127.0.0.1:9") as app:
        assert await leased(app) == WORKS
        (reading,) = app.core.refreshing.readings.values()
        assert reading.is_from_copy
        await told(app, "source_from_copy")
