"""Why nothing was leased: each reason, which of several is told, and what else there is."""

from dataclasses import replace

import pytest

from broker.core.denial import Target
from broker.core.words import DenialAction, DenialReason
from broker.ports.mark_store import MarkKind
from broker.services.errors import ProviderUnknownError, TenantForbiddenError
from broker.services.pacing import LeaseQuotas
from broker.services.principal import Principal, Role
from tests.unit.services.answers import (
    BAD_KEY,
    EXHAUSTED,
    FAULT,
    FORBIDDEN,
    LIMITED,
    LLAMA,
    MINI,
    said,
)
from tests.unit.services.house import OTHER, House, a_house
from tests.unit.services.status_given import a_key

A, B, C = a_key("a"), a_key("b"), a_key("c")


async def fail(house: House, key_id: str, code: str = "", **headers: str) -> None:
    """Let a call with one of the keys fail."""
    every = {key.key_id for key in house.source.keys}
    lease = await house.lease(excluded=tuple(every - {key_id}))
    await house.report(lease, said(code, 429, **headers))


# --- Each reason ------------------------------------------------------------------------------


async def test_no_keys() -> None:
    house = await a_house(A)
    denial = await house.denial(LLAMA)
    assert denial.reason is DenialReason.NO_KEYS
    assert denial.action is DenialAction.FIX_CONFIGURATION
    assert denial.retry_delay_s is None


async def test_model_not_allowed() -> None:
    house = await a_house(a_key("a", models={"gpt-mini": ""}))
    assert await house.refused() is DenialReason.MODEL_NOT_ALLOWED


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (MarkKind.KEY_DISABLED, "a"),
        (MarkKind.UPSTREAM_DISABLED, "openai/gpt-4o"),
        (MarkKind.UPSTREAM_DISABLED, "openai/"),
    ],
)
async def test_all_disabled(kind: MarkKind, subject: str) -> None:
    house = await a_house(A)
    await house.core.marks.put(kind, subject, "ops")
    denial = await house.denial()
    assert denial.reason is DenialReason.ALL_DISABLED
    assert denial.retry_delay_s is None


async def test_cooling_down() -> None:
    house = await a_house(A)
    await fail(house, "a", "limit", retry_after="30")
    denial = await house.denial()
    assert denial.reason is DenialReason.COOLING_DOWN
    assert denial.action is DenialAction.RETRY_LATER
    assert denial.retry_delay_s is not None
    assert 30 <= denial.retry_delay_s <= 33
    assert denial.keys_by_state == {"cooling_down": 1}


async def test_at_capacity_of_requests_a_minute() -> None:
    key = replace(A, limits=replace(A.limits, requests_per_minute=2))
    house = await a_house(key)
    for _ in range(2):
        await house.lease()
    denial = await house.denial()
    assert denial.reason is DenialReason.AT_CAPACITY
    assert denial.retry_delay_s == pytest.approx(30)
    house.clock.advance(30)
    await house.lease()


async def test_at_capacity_of_tokens_a_minute() -> None:
    key = replace(A, limits=replace(A.limits, tokens_per_minute=1000))
    house = await a_house(key)
    await house.lease(estimated_tokens=900)
    assert await house.refused(estimated_tokens=200) is DenialReason.AT_CAPACITY
    await house.lease(estimated_tokens=50)
    await house.lease()


async def test_trial_busy() -> None:
    house = await a_house(A)
    await house.call(EXHAUSTED)
    house.clock.advance(1000)
    await house.lease()
    denial = await house.denial()
    assert denial.reason is DenialReason.TRIAL_BUSY
    assert denial.retry_delay_s is not None
    assert 1 <= denial.retry_delay_s <= 3
    assert denial.keys_by_state == {"exhausted": 1}


@pytest.mark.parametrize("quotas", [LeaseQuotas(per_principal=2), LeaseQuotas(per_tenant=2)])
async def test_lease_quota(quotas: LeaseQuotas) -> None:
    house = await a_house(A, quotas=quotas)
    for _ in range(2):
        await house.lease(tenant="t")
    denial = await house.denial(tenant="t")
    assert denial.reason is DenialReason.LEASE_QUOTA
    assert denial.retry_delay_s == pytest.approx(30)
    await house.lease(by=OTHER, tenant="u")


async def test_a_denied_quota_takes_nothing_from_the_other_one() -> None:
    house = await a_house(A, quotas=LeaseQuotas(per_principal=3, per_tenant=1))
    await house.lease(tenant="t")
    for _ in range(5):
        assert await house.refused(tenant="t") is DenialReason.LEASE_QUOTA
    for tenant in ("u", "v"):
        await house.lease(tenant=tenant)


async def test_exhausted() -> None:
    house = await a_house(A)
    await house.call(EXHAUSTED)
    denial = await house.denial()
    assert denial.reason is DenialReason.EXHAUSTED
    assert denial.action is DenialAction.SWITCH_MODEL
    assert denial.retry_delay_s is not None
    assert 900 <= denial.retry_delay_s <= 930
    assert denial.help_url == "https://spoken.test/keys"


async def test_exhausted_until_the_quota_window_ends() -> None:
    house = await a_house(A)
    await house.call(said("no-money-today", 429))
    denial = await house.denial()
    assert denial.retry_delay_s is not None
    midnight = 86_400 - house.clock.now() % 86_400
    assert midnight <= denial.retry_delay_s <= midnight + 30


async def test_quarantined() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    denial = await house.denial()
    assert denial.reason is DenialReason.QUARANTINED
    assert denial.action is DenialAction.FIX_KEYS
    assert denial.retry_delay_s is None
    assert denial.keys_by_state == {"quarantined": 1}


async def test_restricted() -> None:
    house = await a_house(A)
    await house.call(FORBIDDEN)
    denial = await house.denial()
    assert denial.reason is DenialReason.RESTRICTED
    assert denial.retry_delay_s is None


async def test_upstream_open() -> None:
    house = await a_house(A)
    await house.calls(10, FAULT)
    assert await house.refused() is DenialReason.UPSTREAM_OPEN


async def test_all_tried() -> None:
    house = await a_house(A, B)
    denial = await house.denial(excluded=("a", "b"))
    assert denial.reason is DenialReason.ALL_TRIED
    assert denial.keys_by_state == {"healthy": 2}


# --- Mixed pools ------------------------------------------------------------------------------


async def test_of_several_reasons_the_one_that_heals_soonest_is_told() -> None:
    house = await a_house(A, B, C)
    await fail(house, "a", "bad-key")
    await fail(house, "b", "no-money")
    await fail(house, "c", "limit", retry_after="20")
    denial = await house.denial()
    assert denial.reason is DenialReason.COOLING_DOWN
    assert denial.keys_by_state == {"cooling_down": 1, "exhausted": 1, "quarantined": 1}


async def test_a_wait_is_the_shortest_of_all_keys() -> None:
    house = await a_house(A, B)
    await fail(house, "a", "limit", retry_after="600")
    await fail(house, "b", "limit", retry_after="20")
    denial = await house.denial()
    assert denial.retry_delay_s is not None
    assert denial.retry_delay_s <= 22


async def test_a_reason_that_time_ends_outranks_one_that_a_person_ends() -> None:
    house = await a_house(A, B)
    await fail(house, "a", "limit", retry_after="20")
    assert await house.refused(excluded=("b",)) is DenialReason.COOLING_DOWN
    await house.core.marks.put(MarkKind.KEY_DISABLED, "b", "ops")
    assert await house.refused() is DenialReason.COOLING_DOWN


async def test_of_reasons_that_only_people_end_the_one_to_do_most_about_is_told() -> None:
    house = await a_house(A, B)
    await fail(house, "a", "bad-key")
    await house.core.marks.put(MarkKind.KEY_DISABLED, "b", "ops")
    assert await house.refused() is DenialReason.QUARANTINED


async def test_of_several_troubles_of_one_key_the_gravest_is_told_and_the_longest_wait() -> None:
    house = await a_house(A)
    limited, emptied = await house.lease(), await house.lease()
    await house.report(limited, LIMITED)
    await house.report(emptied, EXHAUSTED)
    denial = await house.denial()
    assert denial.reason is DenialReason.EXHAUSTED
    assert denial.retry_delay_s is not None
    assert denial.retry_delay_s >= 900


async def test_a_key_that_healed_is_leased_although_it_was_set_aside() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    assert await house.refused(MINI) is DenialReason.QUARANTINED
    await house.probe()
    await house.lease(MINI)


# --- Faults, which are no denials -------------------------------------------------------------


async def test_an_unknown_provider_is_a_fault_also_among_fallbacks() -> None:
    house = await a_house(A)
    with pytest.raises(ProviderUnknownError):
        await house.acquire(Target("nobody", "x"))
    with pytest.raises(ProviderUnknownError):
        await house.acquire(fallbacks=(Target("nobody", "x"),))
    assert len(house.core.book) == 0


@pytest.mark.parametrize(
    ("tenants", "untenanted", "tenant", "may"),
    [
        (("*",), "yes", "t", "yes"),
        (("a-*",), "yes", "a-1", "yes"),
        (("a-*",), "yes", "b-1", "no"),
        ((), "yes", "", "yes"),
        (("*",), "no", "", "no"),
    ],
)
async def test_a_principal_leases_for_its_own_tenants_only(
    tenants: tuple[str, ...], untenanted: str, tenant: str, may: str
) -> None:
    house = await a_house(A)
    roles = frozenset({Role.GATEWAY})
    by = Principal("p", roles, tenants=tenants, untenanted=untenanted == "yes")
    if may == "yes":
        await house.lease(by=by, tenant=tenant)
    else:
        with pytest.raises(TenantForbiddenError):
            await house.acquire(by=by, tenant=tenant)


async def test_every_denial_is_counted_and_timed() -> None:
    house = await a_house(A)
    await house.denial(LLAMA)
    assert house.meter.counts["denied", "groq", DenialReason.NO_KEYS] == 1
    assert len(house.meter.acquire_seconds) == 1
