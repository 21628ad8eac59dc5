"""What another broker changes of a tenant at hand is in force here as soon as it is told."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.facts import RevisionAdopted
from broker.core.key import KeySettings
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.ports.changes import Subject
from broker.services.acquisition import AcquireRequest
from broker.services.errors import KeyUnusableError
from broker.services.tenant_readings import AT_ONCE, IN_BACKGROUND
from broker.services.watching import Death, DeathCause
from tests.fakes import settle
from tests.unit.services.fleet_given import a_fleet
from tests.unit.services.status_given import GATEWAY, GPT

ACME = AcquireRequest(GPT, "acme")


async def test_a_key_that_another_broker_made_is_leased_once_it_is_told() -> None:
    fleet = await a_fleet()
    assert await fleet.there.leased_for("acme") == "s1"
    await fleet.here.keep("acme-1")
    assert await fleet.there.leased_for("acme") == "s1"  # not told yet
    await fleet.told("acme")
    assert await fleet.there.leased_for("acme") == "acme-1"


async def test_a_key_that_another_broker_deleted_dies_with_its_leases_and_holders_hear_it() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    grant = await fleet.there.granted(ACME)
    news = fleet.there.core.watching.watch(GATEWAY.name)
    await anext(news)
    await fleet.here.keeping.delete("ops", "acme-1")
    await fleet.told("acme")
    assert await anext(news) == Death(DeathCause.REMOVED, "openai", "acme-1")
    assert await fleet.there.leased_for("acme") == "NO_KEYS"
    with pytest.raises(KeyUnusableError):
        await fleet.there.core.leasing.renew(GATEWAY, grant.lease_id, 60)
    await news.aclose()


async def test_a_key_that_was_made_anew_under_its_id_ends_the_leases_on_the_old_one_alone() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1", secret="sk-old")
    old = await fleet.there.granted(ACME)
    fleet.here.clock.advance(5)
    await fleet.here.keeping.delete("ops", "acme-1")
    fleet.here.clock.advance(5)
    await fleet.here.keep("acme-1", secret="sk-new")
    fleet.here.clock.advance(1)
    elsewhere = await fleet.here.granted(ACME)
    fleet.here.clock.advance(1)
    await fleet.told("acme")
    leasing = fleet.there.core.leasing
    with pytest.raises(KeyUnusableError):
        await leasing.renew(GATEWAY, old.lease_id, 60)
    await leasing.renew(GATEWAY, elsewhere.lease_id, 60)


async def test_an_id_that_became_another_tenants_is_leased_to_that_one_alone() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("k", "acme")
    await fleet.there.leased_for("acme")
    await fleet.there.leased_for("other")
    await fleet.here.keeping.delete("ops", "k")
    await fleet.here.keep("k", "other")
    await fleet.told("other", "acme")
    assert await fleet.there.leased_for("other") == "k"
    assert await fleet.there.leased_for("acme") == "NO_KEYS"


async def test_a_new_secret_from_another_broker_is_proved_before_it_is_leased() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1", secret="sk-old")
    old = await fleet.there.granted(ACME)
    await fleet.here.keeping.rotate("ops", "acme-1", Secret("sk-new"))
    await fleet.told("acme")
    assert (await fleet.there.granted(ACME)).claims.revision == old.claims.revision
    fleet.there.core.probing.start_due()
    await settle()
    assert [key_id for key_id, _ in fleet.there.prober.calls] == ["acme-1"]
    assert (await fleet.there.granted(ACME)).key.secret == Secret("sk-new")
    await fleet.there.core.leasing.renew(GATEWAY, old.lease_id, 60)


async def test_what_one_broker_has_proved_the_other_takes_from_the_store() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1", secret="sk-old")
    await fleet.here.granted(ACME)
    await fleet.there.granted(ACME)
    await fleet.here.keeping.rotate("ops", "acme-1", Secret("sk-new"))
    fleet.here.core.probing.start_due()
    await settle()
    await fleet.here.core.rotating.keep(is_complete=True)
    await settle()
    await fleet.told("acme")
    await fleet.tick()
    assert (await fleet.there.granted(ACME)).key.secret == Secret("sk-new")
    assert fleet.there.prober.calls == []


async def test_settings_and_policies_that_another_broker_changed_are_in_force() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    assert await fleet.there.leased_for("acme") == "acme-1"
    only_mini = KeySettings(models={"gpt-mini": ""})
    await fleet.here.keeping.update("ops", "acme-1", lambda _: only_mini, "models")
    await fleet.told("acme")
    assert await fleet.there.leased_for("acme") == "MODEL_NOT_ALLOWED"
    await fleet.here.allow(PolicyMode.SYSTEM_ONLY)
    await fleet.told("acme")
    assert await fleet.there.leased_for("acme") == "s1"


async def test_tenants_that_are_not_at_hand_cost_nothing() -> None:
    fleet = await a_fleet()
    await fleet.told(*(f"t{number}" for number in range(1000)))
    assert fleet.there.store.read_tenants == []
    assert fleet.there.core.tenants.waiting == 0


async def test_ten_thousand_changes_at_once_are_read_a_few_at_a_time() -> None:
    fleet = await a_fleet()
    names = [f"t{number}" for number in range(1000)]
    for name in names:
        await fleet.there.leased_for(name)
    fleet.there.store.read_tenants.clear()
    fleet.there.store.gate = asyncio.Event()
    for _ in range(10):
        await fleet.told(*names)
    assert len(fleet.there.store.read_tenants) == IN_BACKGROUND
    fleet.there.store.gate.set()
    fleet.there.store.gate = None
    while fleet.there.core.tenants.waiting:
        await settle()
    await settle()
    assert len(fleet.there.store.read_tenants) <= len(names) + IN_BACKGROUND


async def test_somebody_who_asks_does_not_wait_for_the_others_that_changed() -> None:
    fleet = await a_fleet()
    names = [f"t{number}" for number in range(200)]
    for name in names:
        await fleet.there.leased_for(name)
    await fleet.here.keep("mine-1", "t199")
    fleet.there.store.gate = asyncio.Event()
    await fleet.told(*names)
    fleet.there.store.gate.set()
    fleet.there.store.gate = None
    assert await fleet.there.leased_for("t199") == "mine-1"
    assert fleet.there.core.tenants.waiting > 100


async def test_what_was_told_to_have_changed_is_never_served_as_it_was() -> None:
    """The store failed between the change and the reading: a deleted key must not be leased."""
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    await fleet.here.keeping.delete("ops", "acme-1")
    fleet.there.store.is_down = True
    await fleet.told("acme")
    assert await fleet.there.leased_for("acme") == "UNAVAILABLE"
    fleet.there.store.is_down = False
    await fleet.tick()
    assert fleet.there.store.read_tenants[-1] == "acme"
    assert await fleet.there.leased_for("acme") == "NO_KEYS"


async def test_a_change_that_is_told_while_a_reading_is_under_way_is_read_too() -> None:
    fleet = await a_fleet()
    fleet.there.store.gate = asyncio.Event()
    leasing = asyncio.ensure_future(fleet.there.leased_for("acme"))
    await settle()  # it has read that there is no key, and waits
    await fleet.here.keep("acme-1")
    fleet.feed.tell(Subject.TENANT, "acme")
    await settle()
    fleet.there.store.gate.set()
    assert await leasing == "acme-1"


async def test_our_own_change_told_back_to_us_changes_nothing() -> None:
    fleet = await a_fleet()
    there = fleet.there
    await there.leased_for("acme")
    await there.keep("acme-1")
    grant = await there.granted(ACME)
    before = there.core.keyring.held("acme-1")
    pool = there.core.keyring.pool("openai", "gpt-4o", "acme")
    await fleet.told("acme")
    assert there.core.keyring.held("acme-1") == before
    assert there.core.keyring.pool("openai", "gpt-4o", "acme") is pool
    await there.core.leasing.renew(GATEWAY, grant.lease_id, 60)
    kinds = [event.kind for event in (await there.core.world.history.page(before=None, limit=9))[0]]
    assert kinds.count("key_created") == 1


async def test_a_tenant_that_was_forgotten_meanwhile_stays_forgotten() -> None:
    fleet = await a_fleet()
    await fleet.there.leased_for("acme")
    fleet.there.store.is_down = True
    await fleet.told("acme")
    fleet.there.core.tenants.doubt("acme")
    fleet.there.store.is_down = False
    fleet.there.store.read_tenants.clear()
    await fleet.tick()
    assert fleet.there.store.read_tenants == []


async def test_the_log_of_facts_is_a_hint_that_may_come_first() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    fleet.there.store.read_tenants.clear()
    adopted = RevisionAdopted(
        fact_id="f", provider="openai", replica="here", key_id="acme-1", revision="r"
    )
    await fleet.here.core.health.submit([adopted])
    await fleet.here.core.health.submit([replace(adopted, fact_id="g", key_id="s1")])
    await settle()
    assert fleet.there.store.read_tenants == ["acme"]


async def test_after_missed_changes_everything_is_read_anew_when_used_and_in_the_background() -> (
    None
):
    fleet = await a_fleet()
    names = [f"t{number}" for number in range(AT_ONCE * 4)]
    for name in names:
        await fleet.there.leased_for(name)
    fleet.there.store.read_tenants.clear()
    await fleet.here.keep("t7-1", "t7")
    fleet.feed.tell(Subject.EVERYTHING)
    assert await fleet.there.leased_for("t7") == "t7-1"
    while fleet.there.core.tenants.waiting:
        await settle()
    await settle()
    assert sorted(fleet.there.store.read_tenants) == sorted(names)


async def test_after_missed_changes_tenants_are_served_as_known_while_the_store_is_away() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    fleet.feed.tell(Subject.EVERYTHING)
    fleet.there.store.is_down = True
    assert await fleet.there.leased_for("acme") == "acme-1"
    fleet.there.store.is_down = False
    await fleet.here.keeping.delete("ops", "acme-1")
    await fleet.tick()
    assert await fleet.there.leased_for("acme") == "NO_KEYS"


async def test_the_end_ends_the_feed_and_the_readings() -> None:
    fleet = await a_fleet()
    await fleet.there.leased_for("acme")
    fleet.there.store.is_down = True
    await fleet.told("acme")
    await fleet.there.core.following.close()
    assert fleet.feed.is_closed
    assert fleet.there.core.tenants.waiting == 0


async def test_who_listens_hears_of_agreements_and_of_everything() -> None:
    fleet = await a_fleet()
    heard: list[int] = []
    fleet.there.core.following.listen(lambda: heard.append(1))
    fleet.feed.tell(Subject.AGREEMENTS)
    assert heard == [1]
    fleet.feed.tell(Subject.EVERYTHING)
    assert heard == [1, 1]
    await settle()
