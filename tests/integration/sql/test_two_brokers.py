"""Two brokers on one PostgreSQL: what one changes is in force at the other within a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.app import App, build
from broker.app.servicers import make_servicers
from broker.catalog import load_catalog
from broker.config import Settings
from broker.core.denial import Target
from broker.core.secret import Secret
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.keeping import Keeping, NewKey
from broker.services.principal import Principal, Role
from tests.fakes import FakeProber
from tests.postgres import new_database

GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
ACME = AcquireRequest(Target("openai", "gpt-4o"), "acme")
WITHIN_S = 1.0


@asynccontextmanager
async def a_broker(url: str, name: str, seal: Path) -> AsyncIterator[App]:
    settings = Settings(
        database=url,
        replica=name,
        seal_key_file=seal,
        lease_secrets=(SecretStr("l" * 32),),
        fingerprint_secret=SecretStr("f" * 32),
        grpc_listen="127.0.0.1:0",
        http_listen="",
        drain_seconds=0,
    )
    app = await build(settings, environ={}, sources=[], prober=FakeProber())
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def leased(app: App) -> str:
    answer = await app.core.leasing.acquire(GATEWAY, ACME)
    return answer.key.secret.reveal() if isinstance(answer, Grant) else answer.reason.value


async def within_a_second(app: App, wanted: str) -> None:
    began = time.monotonic()
    while await leased(app) != wanted:
        assert time.monotonic() - began < WITHIN_S, await leased(app)
        await asyncio.sleep(0.01)


def keeping(app: App) -> Keeping:
    return make_servicers(app.core, load_catalog()).admin.keeping


async def test_created_rotated_disabled_and_deleted_here_is_so_there(tmp_path: Path) -> None:
    seal = tmp_path / "seal.key"
    KeyFile(seal, Purpose.SEAL).obtain()
    async with (
        new_database() as url,
        a_broker(url, "here", seal) as here,
        a_broker(url, "there", seal) as there,
    ):
        keeper, admin = keeping(here), make_servicers(here.core, load_catalog()).admin
        assert await leased(there) == "NO_KEYS"
        await keeper.create("ops", NewKey("acme", "openai", Secret("sk-one"), "k"))
        await within_a_second(there, "sk-one")
        await keeper.rotate("ops", "k", Secret("sk-two"))
        await within_a_second(there, "sk-two")
        await admin.administration.disable_key("ops", "k", "")
        await within_a_second(there, "ALL_DISABLED")
        await admin.administration.enable_key("ops", "k")
        await within_a_second(there, "sk-two")
        await keeper.delete("ops", "k")
        await within_a_second(there, "NO_KEYS")
