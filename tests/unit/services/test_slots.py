"""Slots of capped keys: taken whole or not at all, and never lost."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.denial import Denial
from broker.core.words import DenialReason, LeaseState
from broker.ports.mark_store import MarkKind
from broker.services.acquisition import Grant
from tests.fakes import settle
from tests.unit.services.answers import FAULT, LIMITED, OK
from tests.unit.services.claims_given import StubClaims
from tests.unit.services.house import GATEWAY, OTHER, House, a_house
from tests.unit.services.status_given import a_key

CAPPED = a_key("k", slots=2)
FREE = a_key("free")


async def slow_house() -> tuple[House, StubClaims]:
    claims = StubClaims()
    return await a_house(CAPPED, claims=claims), claims


# --- All or nothing ---------------------------------------------------------------------------


async def test_a_key_is_leased_up_to_its_cap() -> None:
    house = await a_house(CAPPED)
    first, _ = await house.lease(), await house.lease()
    denial = await house.denial()
    assert denial.reason is DenialReason.AT_CAPACITY
    assert denial.retry_delay_s == pytest.approx(1.0)
    await house.report(first, OK)
    await house.lease()


async def test_a_key_without_a_cap_claims_nothing() -> None:
    claims = StubClaims()
    house = await a_house(FREE, claims=claims)
    lease = await house.lease(concurrency=50)
    assert lease.claims.slots == 0
    assert claims.claimed == []


async def test_a_lease_for_several_requests_takes_as_many_slots_or_none() -> None:
    house = await a_house(replace(CAPPED, limits=replace(CAPPED.limits, concurrency=3)))
    both = await house.lease(concurrency=2)
    assert house.slots_in_use(CAPPED) == 2
    assert await house.refused(concurrency=2) is DenialReason.AT_CAPACITY
    assert house.slots_in_use(CAPPED) == 2
    await house.report(both, OK)
    assert house.slots_in_use(CAPPED) == 0


async def test_a_request_for_too_many_slots_keeps_the_key_from_nobody_else() -> None:
    house = await a_house(CAPPED)
    denial = await house.denial(concurrency=3)
    assert denial.reason is DenialReason.AT_CAPACITY
    assert denial.keys_by_state == {"healthy": 1}
    await house.lease(by=OTHER)


async def test_a_refused_claim_tries_the_next_key() -> None:
    other = a_key("other", slots=2)
    house = await a_house(CAPPED, other)
    taken = {(await house.lease(concurrency=2)).key.key_id for _ in range(2)}
    assert taken == {"k", "other"}
    assert await house.refused() is DenialReason.AT_CAPACITY


async def test_a_key_with_enough_slots_is_found_behind_one_without() -> None:
    big = a_key("big", slots=5, priority=-1)
    house = await a_house(CAPPED, big)
    assert (await house.lease(concurrency=3)).key.key_id == "big"
    assert (await house.lease()).key.key_id == "k"


async def test_a_full_key_is_free_again_when_its_leases_expire() -> None:
    house = await a_house(CAPPED)
    await house.lease(concurrency=2, ttl_s=10)
    assert await house.refused() is DenialReason.AT_CAPACITY
    house.clock.advance(10)
    await house.lease()


async def test_a_repeat_of_a_request_takes_no_second_slot() -> None:
    house = await a_house(CAPPED)
    for _ in range(3):
        await house.lease(request_id="r", attempt=1)
    assert house.slots_in_use(CAPPED) == 1
    await house.lease(request_id="r", attempt=2)
    assert house.slots_in_use(CAPPED) == 2


async def test_a_repeat_is_given_the_same_lease_and_takes_no_second_slot() -> None:
    """A caller whose answer was lost asks again: there is one lease, and it ends once."""
    house = await a_house(CAPPED)
    lost = await house.lease(request_id="r")
    again = await house.lease(request_id="r")
    assert again.claims == lost.claims
    assert again.is_repeat
    assert house.slots_in_use(CAPPED) == 1
    await house.report(again, OK)
    assert house.slots_in_use(CAPPED) == 0


async def test_a_renewal_keeps_its_slots_for_longer() -> None:
    house = await a_house(CAPPED)
    lease = await house.lease(concurrency=2)
    await house.core.leasing.renew(GATEWAY, lease.lease_id, 900)
    house.clock.advance(800)
    assert await house.refused() is DenialReason.AT_CAPACITY


async def test_of_many_concurrent_acquires_no_more_are_granted_than_there_are_slots() -> None:
    house = await a_house(replace(CAPPED, limits=replace(CAPPED.limits, concurrency=7)))
    answers = await asyncio.gather(*(house.acquire() for _ in range(50)))
    assert sum(isinstance(answer, Grant) for answer in answers) == 7


# --- Cancelled calls --------------------------------------------------------------------------


async def test_an_acquire_that_is_cancelled_in_its_claim_gives_the_slots_back() -> None:
    house, claims = await slow_house()
    claims.hold_answers()
    calls = [asyncio.create_task(house.acquire()) for _ in range(2)]
    await settle()
    assert house.slots_in_use(CAPPED) == 2
    for call in calls:
        call.cancel()
    await settle()
    assert house.slots_in_use(CAPPED) == 0
    assert len(house.core.book) == 0


async def test_a_claim_given_back_is_given_back_also_when_its_caller_leaves_meanwhile() -> None:
    house, claims = await slow_house()
    claims.hold_answers()
    call = asyncio.create_task(house.acquire())
    await settle()
    await house.core.marks.put(MarkKind.KEY_DISABLED, "k", "ops")
    claims.go_on()
    claims.hold_releases()
    await settle()
    call.cancel()
    await settle()
    claims.go_on()
    await settle()
    assert house.slots_in_use(CAPPED) == 0


@pytest.mark.parametrize("how", ["report", "release"])
async def test_a_lease_that_ends_gives_its_slots_back_also_when_the_caller_leaves(how: str) -> None:
    house, claims = await slow_house()
    lease = await house.lease(concurrency=2)
    claims.hold_releases()
    if how == "report":
        call = asyncio.create_task(house.report(lease, OK), name="report")
        await settle()
        call.cancel()
    else:
        release = asyncio.create_task(house.core.leasing.release(GATEWAY, lease.lease_id))
        await settle()
        release.cancel()
    await settle()
    claims.go_on()
    await settle()
    assert house.slots_in_use(CAPPED) == 0


async def test_a_report_that_is_cancelled_while_the_log_is_slow_ends_the_lease() -> None:
    house = await a_house(CAPPED)
    lease = await house.lease()
    house.log.delay_s = 10
    call = asyncio.create_task(house.report(lease, LIMITED))
    await settle()
    call.cancel()
    await settle()
    assert house.slots_in_use(CAPPED) == 0
    assert await house.refused() is DenialReason.COOLING_DOWN


async def test_an_abandoned_grant_gives_back_what_it_took() -> None:
    house = await a_house(CAPPED)
    await house.core.leasing.abandon(await house.lease(concurrency=2))
    assert house.slots_in_use(CAPPED) == 0
    assert len(house.core.book) == 0


# --- What changes while a claim is under way --------------------------------------------------


@pytest.mark.parametrize("change", ["disabled", "limited", "removed"])
async def test_a_key_that_died_during_its_claim_is_not_leased(change: str) -> None:
    house, claims = await slow_house()
    holder = await house.lease()
    claims.hold_answers()
    call = asyncio.create_task(house.acquire())
    await settle()
    if change == "disabled":
        await house.core.marks.put(MarkKind.KEY_DISABLED, "k", "ops")
    elif change == "limited":
        await house.report(holder, LIMITED)
    else:
        await house.has_keys()
    claims.go_on()
    answer = await call
    assert isinstance(answer, Denial)
    assert house.slots_in_use(CAPPED) == (0 if change == "limited" else 1)


async def test_a_secret_that_was_rotated_during_its_claim_is_not_leased() -> None:
    house, claims = await slow_house()
    claims.hold_answers()
    call = asyncio.create_task(house.acquire())
    await settle()
    await house.has_keys(replace(CAPPED, revision="new"))
    await house.probe()
    claims.go_on()
    answer = await call
    assert isinstance(answer, Grant)
    assert answer.claims.revision == answer.key.revision == "new"
    assert house.slots_in_use(CAPPED) == 1


async def test_concurrent_claims_do_not_overrun_a_ramping_upstream() -> None:
    house, claims = await slow_house()
    for _ in range(10):
        await house.call(FAULT)
    house.clock.advance(20)
    await house.call(OK)
    claims.hold_answers()
    calls = [asyncio.create_task(house.acquire()) for _ in range(2)]
    await settle()
    claims.go_on()
    answers = await asyncio.gather(*calls)
    assert {type(answer) for answer in answers} == {Denial, Grant}


# --- A store that does not answer -------------------------------------------------------------


async def test_without_the_store_leases_are_granted_degraded() -> None:
    house, claims = await slow_house()
    assert not (await house.lease()).is_degraded
    claims.is_down = True
    lease = await house.lease()
    assert lease.is_degraded
    assert (await house.report(lease, OK)).lease_state is LeaseState.ENDED


async def test_without_the_log_leases_say_that_they_are_degraded() -> None:
    house = await a_house(FREE, a_key("limited"))
    house.log.is_down = True
    await house.report(await house.lease(excluded=("free",)), LIMITED)
    assert not (await house.lease()).is_degraded
    house.clock.advance(1.5)
    assert (await house.lease()).is_degraded
    house.log.is_down = False
    await house.tick()
    assert not (await house.lease()).is_degraded


async def test_a_renewal_goes_on_without_the_store() -> None:
    house, claims = await slow_house()
    lease = await house.lease()
    claims.is_down = True
    renewed = await house.core.leasing.renew(GATEWAY, lease.lease_id, 900)
    assert renewed.ends_at == house.clock.now() + 900


async def test_slots_that_could_not_be_given_back_come_back_when_they_expire() -> None:
    house, claims = await slow_house()
    lease = await house.lease(concurrency=2)
    claims.is_down = True
    await house.report(lease, OK)
    claims.is_down = False
    assert await house.refused() is DenialReason.AT_CAPACITY
    house.clock.advance(300)
    await house.lease(concurrency=2)
