"""Keys of one account share one bill: what is wrong with it concerns all of them, and no other."""

import pytest

from broker.app.servicers import make_servicers
from broker.core.denial import Denial
from broker.core.key import Key, KeySettings
from broker.core.outcome import Outcome
from broker.core.scope import account_model_scope
from broker.core.secret import Secret
from broker.core.words import AdviceAction, DenialReason, Family, LeaseState, State
from broker.services.acquisition import Grant
from broker.services.keeping import NewKey
from broker.services.reports import NextRequest
from tests.unit.services.answers import ALL_LIMITED, EXHAUSTED, GPT, LLAMA, MINI, OK
from tests.unit.services.house import GATEWAY, House, a_house
from tests.unit.services.status_given import a_key, billed

A, B, C = (a_key(name, account="main") for name in "abc")
OTHER = a_key("o", account="other")
ALONE = a_key("z")
NEXT = NextRequest()


async def leased(house: House, **asked: object) -> set[str]:
    """Every key that is leased, of many tries."""
    grants = [await house.lease(**asked) for _ in range(40)]  # type: ignore[arg-type]
    return {grant.key.key_id for grant in grants}


async def bills(house: House, tenant: str, *key_ids: str) -> None:
    """A tenant brings keys of an account that it calls main."""
    keeping = make_servicers(house.core, {}).admin.keeping
    for key_id in key_ids:
        settings = KeySettings(account="main")
        new = NewKey(tenant, "openai", Secret(f"sk-{key_id}"), key_id, settings)
        await keeping.create("ops", new)


async def first_of(house: House, *key_ids: str) -> Grant:
    """A lease on one of these keys."""
    known = {key.key_id for key in house.core.keyring.keys("")}
    return await house.lease(excluded=tuple(known - set(key_ids)))


@pytest.mark.parametrize(("outcome", "left"), [(EXHAUSTED, {"o", "z"}), (ALL_LIMITED, {"o", "z"})])
async def test_what_one_key_hears_of_the_bill_keeps_its_siblings_away(
    outcome: Outcome, left: set[str]
) -> None:
    house = await a_house(A, B, C, OTHER, ALONE)
    await house.report(await first_of(house, "a"), outcome)
    assert await leased(house) == left


async def test_a_limit_of_the_account_on_one_model_leaves_its_other_models_alone() -> None:
    house = await a_house(A, B)
    await house.call(ALL_LIMITED)
    assert await house.refused() is DenialReason.COOLING_DOWN
    assert await leased(house, target=MINI) == {"a", "b"}
    scope = account_model_scope("openai", "", "main", "gpt-4o")
    assert house.state(scope, Family.LIMIT) is State.OPEN


async def test_a_key_without_an_account_is_out_of_money_by_itself() -> None:
    house = await a_house(ALONE, a_key("y"))
    await house.report(await first_of(house, "z"), EXHAUSTED)
    assert await leased(house) == {"y"}


# --- Failover ---------------------------------------------------------------------------------


async def test_a_chain_skips_the_siblings_and_tries_none_of_them() -> None:
    house = await a_house(A, B, C, OTHER)
    answer = await house.report(await first_of(house, "a"), EXHAUSTED, acquire_next=NEXT)
    assert answer.advice.action is AdviceAction.RETRY_OTHER_KEY
    assert isinstance(answer.follow_up, Grant)
    assert answer.follow_up.key == OTHER
    answer = await house.report(answer.follow_up, EXHAUSTED, acquire_next=NEXT)
    assert isinstance(answer.follow_up, Denial)
    assert answer.follow_up.reason is DenialReason.EXHAUSTED


async def test_where_only_siblings_are_left_the_advice_is_another_model() -> None:
    house = await a_house(A, B, C)
    answer = await house.report(await house.lease(), EXHAUSTED, acquire_next=NEXT)
    assert answer.advice.action is AdviceAction.SWITCH_MODEL
    assert isinstance(answer.follow_up, Denial)
    assert answer.follow_up.keys_by_state == {"exhausted": 3}


async def test_a_fallback_of_another_provider_takes_over_with_its_own_bill() -> None:
    house = await a_house(A, B, a_key("g", "groq", account="main"))
    next_request = NextRequest(fallbacks=(LLAMA,))
    answer = await house.report(await house.lease(), EXHAUSTED, acquire_next=next_request)
    assert isinstance(answer.follow_up, Grant)
    assert answer.follow_up.key.key_id == "g"


async def test_a_lower_priority_of_another_account_goes_before_a_sibling_of_any_priority() -> None:
    low = a_key("low", account="other", priority=-5)
    last = a_key("last", account="main", priority=-9)
    house = await a_house(A, B, low, last)
    await house.call(EXHAUSTED)
    assert await leased(house) == {"low"}


# --- Healing ----------------------------------------------------------------------------------


async def test_one_trial_of_any_sibling_heals_all_of_them_at_once() -> None:
    house = await a_house(A, B, C)
    await house.call(EXHAUSTED)
    assert await house.refused() is DenialReason.EXHAUSTED
    house.clock.advance(3600)
    trial = await house.lease()
    assert trial.claims.is_trial
    assert await house.refused() is DenialReason.TRIAL_BUSY
    await house.report(trial, OK)
    house.clock.advance(60)
    assert await leased(house) == {"a", "b", "c"}


async def test_a_trial_that_fails_keeps_all_of_them_away() -> None:
    house = await a_house(A, B, C)
    await house.call(EXHAUSTED)
    house.clock.advance(3600)
    await house.call(EXHAUSTED)
    assert await house.refused() is DenialReason.EXHAUSTED


async def test_leases_on_siblings_that_are_out_live_on() -> None:
    """What is used up for new calls may yet let one through: only the key's death ends a lease."""
    house = await a_house(A, B)
    lease = await first_of(house, "b")
    await house.report(await first_of(house, "a"), EXHAUSTED)
    await house.core.leasing.renew(GATEWAY, lease.lease_id, 60)
    assert (await house.report(lease, OK)).lease_state is LeaseState.ENDED


async def test_a_key_that_joins_an_account_shares_its_trouble_and_one_that_leaves_does_not() -> (
    None
):
    house = await a_house(A, ALONE)
    await house.report(await first_of(house, "a"), EXHAUSTED)
    assert await leased(house) == {"z"}
    joined, left = _with("z", "main"), _with("a", "other")
    await house.has_keys(joined, left)
    assert await leased(house) == {"a"}


def _with(key_id: str, account: str) -> Key:
    return a_key(key_id, account=account)


async def test_a_rotation_does_not_pay_the_bill() -> None:
    house = await a_house(A, B)
    await house.call(EXHAUSTED)
    await house.has_keys(a_key("a", account="main", revision="new"), B)
    await house.probe()
    assert house.core.keyring.key("a").revision == "new"
    assert await house.refused() is DenialReason.EXHAUSTED


# --- Tenants ----------------------------------------------------------------------------------


async def test_accounts_of_one_name_are_each_owner_s_own() -> None:
    house = await a_house(A, B)
    await bills(house, "acme", "t1", "t2")
    await bills(house, "bolt", "u1")
    await house.report(await house.lease(tenant="acme"), EXHAUSTED)
    assert await house.refused(tenant="acme") is DenialReason.EXHAUSTED
    assert await leased(house) == {"a", "b"}
    assert await leased(house, tenant="bolt") == {"u1"}
    await house.call(EXHAUSTED)
    assert await house.refused() is DenialReason.EXHAUSTED
    assert await leased(house, tenant="bolt") == {"u1"}


async def test_what_one_replica_hears_of_a_bill_all_know() -> None:
    here = await a_house(A, B)
    there = await a_house(name="there", beside=here)
    await here.call(EXHAUSTED)
    assert await there.refused() is DenialReason.EXHAUSTED
    assert there.state(billed(A), Family.QUOTA) is State.OPEN
    assert (await there.denial(GPT)).keys_by_state == {"exhausted": 2}
