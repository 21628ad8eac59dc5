"""The policy holds along a chain: in advice, in the next lease, in fallbacks, and for repeats."""

import pytest

from broker.app.servicers import make_servicers
from broker.core.denial import Denial
from broker.core.key import KeyLimits, KeySettings
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.words import AdviceAction, DenialReason, LeaseState
from broker.services.acquisition import Grant
from broker.services.keeping import NewKey
from broker.services.reports import NextRequest
from tests.unit.services.answers import BAD_KEY, GPT, LLAMA, OK
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key

ACME = "acme"


@pytest.fixture
async def house() -> House:
    """System keys of two providers, and a tenant with two keys for one of them."""
    house = await a_house(a_key("s1"), a_key("g1", "groq"))
    for number in range(2):
        await keep(house, f"t{number}")
    return house


async def keep(house: House, key_id: str, settings: KeySettings | None = None) -> None:
    keeping = make_servicers(house.core, {}).admin.keeping
    new = NewKey(ACME, "openai", Secret(f"sk-{key_id}"), key_id, settings or KeySettings())
    await keeping.create("ops", new)


async def allow(house: House, mode: PolicyMode) -> None:
    policies = make_servicers(house.core, {}).admin.policies
    await policies.put("ops", ACME, "openai", mode, ())


async def test_the_next_lease_of_a_chain_is_on_the_tenants_other_key_and_then_on_none(
    house: House,
) -> None:
    grant = await house.lease(tenant=ACME)
    answer = await house.report(grant, BAD_KEY, acquire_next=NextRequest())
    assert answer.advice.action is AdviceAction.RETRY_OTHER_KEY
    assert answer.lease_state is LeaseState.KEY_UNUSABLE
    assert isinstance(answer.follow_up, Grant)
    assert {grant.key.key_id, answer.follow_up.key.key_id} == {"t0", "t1"}
    answer = await house.report(answer.follow_up, BAD_KEY, acquire_next=NextRequest())
    assert answer.advice.action is not AdviceAction.RETRY_OTHER_KEY
    assert isinstance(answer.follow_up, Denial)
    assert answer.follow_up.reason is DenialReason.QUARANTINED
    assert "its policy TENANT_ONLY allows no others" in answer.follow_up.message


async def test_the_advice_is_a_system_key_only_where_the_policy_goes_on_to_them(
    house: House,
) -> None:
    await allow(house, PolicyMode.TENANT_THEN_SYSTEM)
    first = await house.lease(tenant=ACME)
    second = (await house.report(first, BAD_KEY, acquire_next=NextRequest())).follow_up
    assert isinstance(second, Grant)
    answer = await house.report(second, BAD_KEY, acquire_next=NextRequest())
    assert answer.advice.action is AdviceAction.RETRY_OTHER_KEY
    assert isinstance(answer.follow_up, Grant)
    assert answer.follow_up.key.key_id == "s1"


async def test_a_fallback_is_served_by_the_policy_of_its_own_provider(house: House) -> None:
    for _ in range(2):
        await house.report(await house.lease(tenant=ACME), BAD_KEY)
    grant = await house.lease(tenant=ACME, fallbacks=(LLAMA,))
    assert grant.key.key_id == "g1"


async def test_a_repeat_of_a_request_gets_the_same_lease_on_the_tenants_key() -> None:
    house = await a_house(a_key("s1", slots=5))
    await keep(house, "t0", KeySettings(limits=KeyLimits(concurrency=1)))
    grants = [await house.lease(tenant=ACME, request_id="r1") for _ in range(3)]
    assert {grant.claims.uid for grant in grants} == {grants[0].claims.uid}
    assert await house.refused(tenant=ACME, request_id="r2") is DenialReason.AT_CAPACITY
    await house.report(grants[0], OK)
    assert (await house.lease(tenant=ACME, request_id="r2")).key.key_id == "t0"


async def test_a_capped_key_whose_tenant_was_read_anew_is_still_granted() -> None:
    house = await a_house()
    await keep(house, "t0", KeySettings(limits=KeyLimits(concurrency=2)))
    first = await house.lease(tenant=ACME)
    await house.core.tenants.reload(ACME)
    second = await house.lease(tenant=ACME)
    assert first.claims.slots == second.claims.slots == 1
    assert await house.refused(tenant=ACME) is DenialReason.AT_CAPACITY


async def test_health_that_was_reported_while_the_tenant_was_away_is_there_when_it_returns(
    house: House,
) -> None:
    grant = await house.lease(tenant=ACME)
    house.core.tenants.doubt(ACME)
    assert house.core.keyring.find(grant.key.key_id) is None
    await house.report(grant, BAD_KEY)
    other = await house.lease(tenant=ACME)
    assert other.key.key_id != grant.key.key_id
    denial = await house.denial(GPT, tenant=ACME, excluded=(other.key.key_id,))
    assert denial.keys_by_state == {"healthy": 1, "quarantined": 1}
