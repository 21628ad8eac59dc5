"""Another system's table tells of no change: it is looked at again in time."""

from dataclasses import replace

import pytest

from broker.app.world import Tenancy
from broker.core.revisions import Stage
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.words import Family, ProbeResult
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.prober import Probed
from broker.services.acquisition import AcquireRequest
from broker.services.errors import KeySourceOwnedError, KeyUnusableError
from broker.services.retirement import RETIRE_AFTER_S
from broker.services.watching import Death, DeathCause
from tests.fakes import settle
from tests.unit.services.status_given import GATEWAY, GPT, Desk, a_desk, a_key, whole

POLL_S = 60.0
ACME = AcquireRequest(GPT, "acme")
REJECTED = Probed(ProbeResult.REJECTED, reached=True, detail="fake")


async def a_table() -> Desk:
    """A broker beside a table of theirs, in which acme has a key with the secret sk-old."""
    desk = await a_desk(a_key("s1"), tenancy=Tenancy(poll_s=POLL_S))
    await has(desk, "sk-old")
    return desk


async def has(desk: Desk, secret: str) -> None:
    """Their row of acme has this secret from now on."""
    store, plaintext = desk.store.inner, Secret(secret)
    name = plaintext.fingerprint(desk.core.world.fingerprint_secret)
    sealed = await desk.core.world.sealer.seal(plaintext, Binding("acme", "openai", "theirs", name))
    kept = await desk.keep("template", "somebody") if not await store.key("template") else None
    like = kept or await store.key("template")
    assert like is not None
    row = StoredKey(
        key_id="theirs",
        tenant="acme",
        provider="openai",
        settings=like.settings,
        revisions=(StoredRevision(name, sealed, 0.0),),
        created_at=0.0,
        updated_at=0.0,
        source="table keys",
    )
    policy = desk.core.tenants.policy("somebody", "openai")
    await store.delete("theirs")
    await store.create(row, replace(policy, tenant="acme", mode=PolicyMode.TENANT_ONLY))


async def looked(desk: Desk, seconds: float) -> None:
    """Time passes, and somebody asks."""
    desk.clock.advance(seconds)
    await desk.lease(ACME)
    desk.core.probing.start_due()
    await settle()
    await desk.core.rotating.keep(is_complete=True)
    await settle()


async def secret_of(desk: Desk) -> str:
    return (await desk.granted(ACME)).key.secret.reveal()


async def test_a_change_is_noticed_when_the_poll_is_due_and_not_asked_for_before() -> None:
    desk = await a_table()
    assert await secret_of(desk) == "sk-old"
    desk.store.read_tenants.clear()
    await has(desk, "sk-new")
    for _ in range(5):
        await looked(desk, 11)
    assert desk.store.read_tenants == []
    assert await secret_of(desk) == "sk-old"
    await looked(desk, 5)
    assert desk.store.read_tenants == ["acme"]
    assert await secret_of(desk) == "sk-new"


async def test_a_new_secret_is_proved_and_the_old_one_drains() -> None:
    desk = await a_table()
    old = await desk.granted(ACME)
    await has(desk, "sk-new")
    await looked(desk, POLL_S)
    held = desk.core.keyring.held("theirs")
    assert held is not None
    stages = [held.stage(rev, lambda _: False) for rev in held.revisions]
    assert stages == [Stage.IN_USE, Stage.DRAINING]
    await desk.core.leasing.renew(GATEWAY, old.lease_id, 60)


async def test_a_bogus_secret_in_their_table_costs_no_call() -> None:
    desk = await a_table()
    assert await secret_of(desk) == "sk-old"
    await has(desk, "sk-bogus")
    desk.prober.will_find("theirs", REJECTED)
    await looked(desk, POLL_S)
    for _ in range(3):
        assert await secret_of(desk) == "sk-old"
        await looked(desk, POLL_S)  # read again: what is not in their table is not forgotten
    await has(desk, "sk-good")
    await looked(desk, POLL_S)
    assert await secret_of(desk) == "sk-good"


async def test_while_a_key_is_quarantined_it_is_looked_at_each_second() -> None:
    desk = await a_table()
    grant = await desk.granted(ACME)
    await desk.fail(whole(grant.key), Family.CREDENTIAL)
    await has(desk, "sk-good")
    await looked(desk, 1.0)
    assert await secret_of(desk) == "sk-good"


async def test_a_row_that_is_gone_ends_the_leases_and_its_health_is_forgotten() -> None:
    desk = await a_table()
    grant = await desk.granted(ACME)
    await desk.fail(whole(grant.key), Family.QUOTA)
    news = desk.core.watching.watch(GATEWAY.name)
    await anext(news)
    await anext(news)  # that it is exhausted
    await desk.store.inner.delete("theirs")
    await looked(desk, POLL_S)
    assert await anext(news) == Death(DeathCause.REMOVED, "openai", "theirs")
    with pytest.raises(KeyUnusableError):
        await desk.core.leasing.renew(GATEWAY, grant.lease_id, 60)
    assert list(desk.core.health.circuits())
    desk.clock.advance(RETIRE_AFTER_S)
    await desk.core.following.on_tick()
    assert not list(desk.core.health.circuits())
    await news.aclose()


async def test_a_row_that_comes_back_at_once_has_the_health_that_it_had() -> None:
    """They may rewrite their table: a key in trouble must not be leased because of that."""
    desk = await a_table()
    grant = await desk.granted(ACME)
    await desk.fail(whole(grant.key), Family.QUOTA)
    await desk.store.inner.delete("theirs")
    await looked(desk, POLL_S)
    await has(desk, "sk-old")
    await looked(desk, POLL_S)
    desk.clock.advance(RETIRE_AFTER_S)
    await desk.core.following.on_tick()
    assert await desk.leased_for("acme") == "EXHAUSTED"


async def test_their_database_may_be_away_for_a_day() -> None:
    desk = await a_table()
    await desk.granted(ACME)
    desk.store.is_down = True
    desk.clock.advance(86_000)
    await desk.leased_for("acme")
    assert await desk.leased_for("acme") == "theirs"
    desk.clock.advance(500)
    assert await desk.leased_for("acme") == "UNAVAILABLE"


async def test_operators_change_it_where_it_is_kept() -> None:
    desk = await a_table()
    with pytest.raises(KeySourceOwnedError, match="table keys"):
        await desk.keeping.rotate("ops", "theirs", Secret("sk-mine"))
    with pytest.raises(KeySourceOwnedError, match="table keys"):
        await desk.keeping.delete("ops", "theirs")
    await desk.administration.disable_key("ops", "theirs", "leaked")
    assert await desk.leased_for("acme") == "ALL_DISABLED"
    await desk.keep("mine", "acme")
    assert await desk.leased_for("acme") == "mine"


async def test_an_id_that_another_tenant_has_too_gives_nobody_the_others_key() -> None:
    desk = await a_table()
    await desk.granted(ACME)
    row = await desk.store.key("theirs")
    assert row is not None
    await desk.store.delete("theirs")
    policy = desk.core.tenants.policy("acme", "openai")
    await desk.store.create(replace(row, tenant="evil"), replace(policy, tenant="evil"))
    assert await desk.leased_for("evil") == "TENANT_KEY_UNUSABLE"
    assert await desk.leased_for("acme") == "theirs"
