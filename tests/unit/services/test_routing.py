"""A tenant is served from the keys that its policy says, and from no others."""

import asyncio
from dataclasses import replace

import pytest

from broker.app.world import Tenancy
from broker.core.denial import Denial, Target
from broker.core.key import KeyLimits, KeySettings
from broker.core.tenancy import PolicyMode
from broker.core.words import DenialReason, Family, LeaseState, Provenance
from broker.ports.errors import StoreUnavailableError
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.explain import WouldGrant
from broker.services.paging import PageRequest
from tests.fakes import settle
from tests.unit.services.status_given import GATEWAY, GPT, Desk, a_desk, a_key, on_model, whole

SYSTEM = a_key("s1")
FOR_ACME = AcquireRequest(GPT, "acme")


async def quarantine(desk: Desk, key_id: str) -> None:
    key = desk.core.keyring.find(key_id)
    assert key is not None
    await desk.fail(whole(key), Family.CREDENTIAL)


async def test_without_a_policy_a_tenant_is_served_from_the_system_keys() -> None:
    desk = await a_desk(SYSTEM)
    assert await desk.leased_for("acme") == "s1"


async def test_the_first_key_closes_the_system_keys_to_its_tenant_alone() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    grant = await desk.granted(FOR_ACME)
    assert (grant.key.key_id, grant.claims.provenance) == ("t1", Provenance.TENANT)
    assert await desk.leased_for("other") == "s1"
    await quarantine(desk, "t1")
    assert await desk.leased_for("acme") == "QUARANTINED"


async def test_a_tenant_that_loses_its_last_key_gets_no_other() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    await desk.keeping.delete("ops", "t1")
    denial = await desk.lease(FOR_ACME)
    assert isinstance(denial, Denial)
    assert denial.reason is DenialReason.NO_KEYS
    assert "its policy allows no other" in denial.message


@pytest.mark.parametrize("family", [Family.CREDENTIAL, Family.QUOTA])
async def test_trouble_that_falls_through_is_served_from_system_keys_until_it_is_over(
    family: Family,
) -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    key = desk.core.keyring.find("t1")
    assert key is not None
    assert await desk.leased_for() == "t1"
    await desk.fail(whole(key), family)
    assert await desk.leased_for() == "s1"
    await desk.clearing.clear("ops", whole(key), None)
    assert await desk.leased_for() == "t1"


@pytest.mark.parametrize("family", [Family.LIMIT, Family.ACCESS])
async def test_trouble_that_does_not_fall_through_is_a_denial(family: Family) -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    key = desk.core.keyring.find("t1")
    assert key is not None
    await desk.fail(on_model(key), family)
    assert await desk.leased_for() in {"COOLING_DOWN", "RESTRICTED"}
    reasons = {Family.LIMIT: DenialReason.COOLING_DOWN, Family.ACCESS: DenialReason.RESTRICTED}
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM, reasons[family])
    assert await desk.leased_for() == "s1"


async def test_a_key_that_is_merely_tried_already_does_not_fall_through() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    answer = await desk.lease(replace(FOR_ACME, excluded=("t1",)))
    assert isinstance(answer, Denial)
    assert answer.reason is DenialReason.ALL_TRIED


async def test_while_an_exhausted_key_is_being_tried_the_others_still_fall_through() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    key = desk.core.keyring.find("t1")
    assert key is not None
    await desk.fail(whole(key), Family.QUOTA)
    desk.clock.advance(3600)
    trial = await desk.granted(FOR_ACME)
    assert (trial.key.key_id, trial.claims.is_trial) == ("t1", True)
    assert await desk.leased_for() == "s1"


async def test_a_default_that_falls_through_does_so_in_the_default_states() -> None:
    tenancy = Tenancy(default_mode=PolicyMode.TENANT_THEN_SYSTEM)
    desk = await a_desk(SYSTEM, tenancy=tenancy)
    (policy,) = await desk.policies.of("acme", "openai")
    assert policy.fall_through == {DenialReason.QUARANTINED, DenialReason.EXHAUSTED}
    assert await desk.leased_for() == "s1"


async def test_system_only_never_leases_the_tenants_own_key() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    await desk.allow(PolicyMode.SYSTEM_ONLY)
    assert await desk.leased_for() == "s1"
    await desk.administration.disable_key("ops", "s1", "")
    assert await desk.leased_for() == "ALL_DISABLED"


async def test_a_policy_is_of_one_provider_alone() -> None:
    desk = await a_desk(SYSTEM, a_key("g1", "groq"))
    await desk.keep("t1")
    assert await desk.leased_for("acme", Target("groq", "llama")) == "g1"


async def test_an_unknown_policy_is_a_fault_and_never_a_guess() -> None:
    desk = await a_desk(SYSTEM)
    desk.store.is_down = True
    assert await desk.leased_for("acme") == "UNAVAILABLE"
    assert isinstance(await desk.lease(), Grant)  # nobody's policy is asked for without a tenant
    desk.store.is_down = False
    assert await desk.leased_for("acme") == "s1"
    desk.store.is_down = True
    assert await desk.leased_for("acme") == "s1"


async def test_a_key_that_cannot_be_opened_is_an_error_and_never_falls_through() -> None:
    desk = await a_desk(SYSTEM)
    moved = await desk.keep("t1", "acme")
    await desk.keep("t2", "evil")
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM, tenant="evil")
    await desk.store.add_revision(
        "t2", replace(moved.revisions[0], revision=(await _name(desk, "t2")))
    )
    await desk.core.tenants.reload("evil")
    assert await desk.leased_for("evil") == "TENANT_KEY_UNUSABLE"
    assert await desk.leased_for("acme") == "t1"
    denial = await desk.lease(AcquireRequest(GPT, "evil"))
    assert isinstance(denial, Denial)
    assert denial.keys_by_state == {"unreadable": 1}


async def _name(desk: Desk, key_id: str) -> str:
    stored = await desk.store.key(key_id)
    assert stored is not None
    return stored.revisions[0].revision


async def test_a_policy_that_is_set_while_an_acquire_claims_holds_for_it_too() -> None:
    desk = await a_desk(a_key("s1", slots=5))
    await desk.allow(PolicyMode.SYSTEM_ONLY)
    claims = desk.core.world.claims
    gate, real = asyncio.Event(), claims.claim

    async def slowly(*args: object) -> object:
        await gate.wait()
        return await real(*args)  # type: ignore[arg-type]

    claims.claim = slowly  # type: ignore[method-assign,assignment]
    acquiring = asyncio.ensure_future(desk.lease(FOR_ACME))
    await settle()
    await desk.allow(PolicyMode.TENANT_ONLY)
    gate.set()
    answer = await acquiring
    assert isinstance(answer, Denial)
    assert answer.reason is DenialReason.NO_KEYS
    assert claims.slots_in_use("openai", "s1", desk.clock.now()) == 0


async def test_nothing_is_explained_or_listed_of_a_policy_that_is_not_known() -> None:
    desk = await a_desk(SYSTEM)
    desk.store.is_down = True
    with pytest.raises(StoreUnavailableError):
        await desk.explain.acquire("gateway", FOR_ACME)
    with pytest.raises(StoreUnavailableError):
        await desk.runnable.page("gateway", "acme", "", PageRequest())
    with pytest.raises(StoreUnavailableError):
        await desk.policies.of("acme", "openai")


async def test_alternatives_are_what_the_tenant_could_lease_itself() -> None:
    desk = await a_desk(SYSTEM, a_key("g1", "groq"))
    await desk.keep("t1", settings=KeySettings(models={"gpt-4o": "", "gpt-mini": ""}))
    key = desk.core.keyring.find("t1")
    assert key is not None
    await desk.fail(on_model(key), Family.LIMIT)
    denial = await desk.lease(FOR_ACME)
    assert isinstance(denial, Denial)
    assert set(denial.alternatives) == {Target("openai", "gpt-mini"), Target("groq", "llama")}
    await quarantine(desk, "t1")
    denial = await desk.lease(FOR_ACME)
    assert isinstance(denial, Denial)
    assert set(denial.alternatives) == {Target("groq", "llama")}


async def test_runnable_models_are_the_tenants_own() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1", settings=KeySettings(models={"gpt-mini": ""}))
    await desk.keep("t2", settings=KeySettings(models={"gpt-mini": ""}))

    async def models() -> list[tuple[str, Provenance, int]]:
        page = await desk.runnable.page("gateway", "acme", "openai", PageRequest())
        return [(item.target.model, item.provenance, item.key_count) for item in page.items]

    assert await models() == [("gpt-mini", Provenance.TENANT, 2)]
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    await quarantine(desk, "t1")
    assert await models() == [("gpt-mini", Provenance.TENANT, 1)]
    await quarantine(desk, "t2")
    assert await models() == [("gpt-mini", Provenance.SYSTEM, 1)]


async def test_an_explanation_says_the_policy_and_shows_the_keys_of_all_it_allows() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    explanation = await desk.explain.acquire("gateway", FOR_ACME)
    (upstream,) = explanation.upstreams
    assert upstream.policy.startswith("TENANT_ONLY for tenant 'acme' and openai, set by ops at ")
    assert [entry.key.key_id for entry in upstream.keys] == ["t1"]
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    await quarantine(desk, "t1")
    explanation = await desk.explain.acquire("gateway", FOR_ACME)
    (upstream,) = explanation.upstreams
    assert "every one is exhausted or quarantined" in upstream.policy
    assert [entry.key.key_id for entry in upstream.keys] == ["t1", "s1"]
    assert isinstance(explanation.answer, WouldGrant)
    assert explanation.answer.key.key_id == "s1"


async def test_a_lease_on_a_tenants_key_outlives_its_place_in_the_cache_and_the_store() -> None:
    desk = await a_desk(SYSTEM, tenancy=Tenancy(cache_size=1))
    await desk.keep("t1", settings=KeySettings(limits=KeyLimits(concurrency=1)))
    grant = await desk.granted(FOR_ACME)
    await desk.leased_for("other")
    assert desk.core.tenants.find("acme") is None
    desk.store.is_down = True
    assert desk.core.leasing.state(grant.claims, desk.clock.now()) is LeaseState.LIVE
    await desk.report(grant, 401)
    desk.store.is_down = False
    assert await desk.leased_for() == "RESTRICTED"  # a bare 401 is weak evidence, and is kept


async def test_a_lease_on_a_deleted_key_is_dead_also_where_nothing_can_be_read() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    grant = await desk.granted(FOR_ACME)
    desk.clock.advance(1)
    await desk.keeping.delete("ops", "t1")
    await desk.core.tenants.reload("acme")
    desk.store.is_down = True
    await desk.core.tenants.reload("acme")
    assert desk.core.tenants.find("acme") is None
    assert desk.core.leasing.state(grant.claims, desk.clock.now()) is LeaseState.KEY_UNUSABLE
    with pytest.raises(StoreUnavailableError):
        await desk.core.leasing.renew(GATEWAY, grant.lease_id, 60)
