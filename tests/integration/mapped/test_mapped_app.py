"""A broker leases what stands in another system's table, and follows what changes there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from broker.app import App, build
from broker.config import Settings
from broker.config.stores import TenantTableSetting
from broker.core.denial import Target
from broker.core.words import Provenance
from broker.ports.errors import StoreUnavailableError
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.principal import Principal, Role
from tests.fakes import FakeClock, FakeProber, settle
from tests.integration.mapped.mapped_given import Theirs

GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
ACME = AcquireRequest(Target("openai", "gpt-4o"), "acme")


@asynccontextmanager
async def a_broker(theirs: Theirs, clock: FakeClock) -> AsyncIterator[App]:
    settings = Settings(
        database="memory",
        tenant_table=TenantTableSetting(
            url=SecretStr(theirs.url), table="keys", columns={"key_id": "id"}
        ),
    )
    app = await build(settings, environ={}, clock=clock, sources=[], prober=FakeProber())
    await app.core.following.start()
    await app.core.health.follow()
    try:
        yield app
    finally:
        await app.stop()


async def leased(app: App) -> str:
    answer = await app.core.leasing.acquire(GATEWAY, ACME)
    if not isinstance(answer, Grant):
        return answer.reason.value
    assert answer.key.provenance is Provenance.TENANT
    return answer.key.secret.reveal()


async def test_a_key_is_leased_rotated_and_gone_as_their_table_says(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (id TEXT, tenant TEXT, provider TEXT, secret TEXT)")
    await theirs.do("INSERT INTO keys VALUES ('a', 'acme', 'openai', 'sk-one')")
    clock = FakeClock()
    async with a_broker(theirs, clock) as app:
        assert await leased(app) == "sk-one"
        await theirs.do("UPDATE keys SET secret = 'sk-two'")
        clock.advance(60)
        assert await leased(app) == "sk-one"  # the new one is proved first
        await asyncio.gather(*app.core.probing.start_due())
        await settle()
        assert await leased(app) == "sk-two"
        assert app.core.world.table is not None
        assert app.core.world.table.faults == ()
        await theirs.do("DELETE FROM keys")
        clock.advance(60)
        assert await leased(app) == "NO_KEYS"


async def test_while_their_database_is_away_who_is_at_hand_is_served(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (id TEXT, tenant TEXT, provider TEXT, secret TEXT)")
    await theirs.do("INSERT INTO keys VALUES ('a', 'acme', 'openai', 'sk-one')")
    clock = FakeClock()
    async with a_broker(theirs, clock) as app:
        assert await leased(app) == "sk-one"
        await theirs.do("ALTER TABLE keys RENAME TO elsewhere")
        clock.advance(3600)
        assert [await leased(app) for _ in range(3)] == ["sk-one"] * 3
        clock.advance(24 * 3600)
        try:
            told = await leased(app)
        except StoreUnavailableError as error:
            told = str(error)
        assert "too old to be used: table keys" in told
        await theirs.do("ALTER TABLE elsewhere RENAME TO keys")
        assert await leased(app) == "sk-one"


async def test_a_table_that_cannot_be_read_is_told_from_the_start(theirs: Theirs) -> None:
    async with a_broker(theirs, FakeClock()) as app:
        table = app.core.world.table
        assert table is not None
        (fault,) = table.faults
        assert fault.startswith("table keys: ")
