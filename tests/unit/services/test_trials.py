"""The one trial of a half-open circuit: who makes it, how it ends, and that it always ends."""

import asyncio

import pytest

from broker.core.outcome import Outcome
from broker.core.words import DenialReason, Family, LeaseState, State
from broker.services.acquisition import Grant
from tests.fakes import settle
from tests.unit.services.answers import (
    BAD_REQUEST,
    CANCELLED,
    EXHAUSTED,
    FORBIDDEN,
    INTERIM,
    LIMITED,
    OK,
)
from tests.unit.services.claims_given import StubClaims
from tests.unit.services.house import GATEWAY, House, a_house
from tests.unit.services.status_given import a_key, billed, on_model, whole

KEY = a_key("k")
CAPPED = a_key("k", slots=3)
QUOTA = (whole(KEY), Family.QUOTA)


async def half_open(house: House) -> House:
    """The house, its key's quota due for a trial."""
    await house.call(EXHAUSTED)
    house.clock.advance(1000)
    assert house.state(*QUOTA) is State.HALF_OPEN
    return house


async def test_of_many_concurrent_acquires_one_gets_the_trial() -> None:
    house = await half_open(await a_house(KEY))
    answers = await asyncio.gather(*(house.acquire() for _ in range(200)))
    assert sum(isinstance(answer, Grant) for answer in answers) == 1


async def test_of_two_replicas_one_gets_the_trial() -> None:
    here = await a_house(KEY)
    there = await a_house(name="there", beside=here)
    await half_open(here)
    assert (await there.lease()).claims.is_trial
    assert await here.refused() is DenialReason.TRIAL_BUSY


async def test_a_trial_that_passes_heals() -> None:
    house = await half_open(await a_house(KEY))
    await house.call(OK)
    assert house.state(*QUOTA) is State.RAMPING
    assert house.meter.counts["recovered", Family.QUOTA, "trial"] == 1
    assert not (await house.lease()).claims.is_trial


async def test_a_trial_that_fails_opens_the_circuit_for_longer() -> None:
    house = await half_open(await a_house(KEY))
    await house.call(EXHAUSTED)
    record = house.circuit(*QUOTA)
    assert record is not None
    assert record.level == 2


@pytest.mark.parametrize("outcome", [LIMITED, FORBIDDEN, BAD_REQUEST, CANCELLED])
async def test_a_trial_that_ends_otherwise_gives_its_permit_back(outcome: Outcome) -> None:
    house = await half_open(await a_house(KEY))
    await house.call(outcome)
    house.clock.advance(800)
    assert house.state(*QUOTA) is State.HALF_OPEN
    assert (await house.lease()).claims.is_trial


@pytest.mark.parametrize("how", ["released", "abandoned", "expired"])
async def test_a_trial_that_was_not_used_gives_its_permit_back(how: str) -> None:
    house = await half_open(await a_house(KEY))
    trial = await house.lease(ttl_s=20)
    assert await house.refused() is DenialReason.TRIAL_BUSY
    if how == "released":
        await house.core.leasing.release(GATEWAY, trial.lease_id)
    elif how == "abandoned":
        await house.core.leasing.abandon(trial)
    else:
        await house.tick(22)
    assert (await house.lease()).claims.is_trial


async def test_a_permit_that_is_not_used_comes_back_after_a_minute() -> None:
    house = await half_open(await a_house(KEY))
    await house.lease(ttl_s=900)
    house.clock.advance(59)
    assert await house.refused() is DenialReason.TRIAL_BUSY
    house.clock.advance(3)
    assert (await house.lease()).claims.is_trial


async def test_an_interim_report_ends_the_trial_and_not_the_lease() -> None:
    house = await half_open(await a_house(KEY))
    trial = await house.lease()
    answer = await house.report(trial, INTERIM)
    assert answer.lease_state is LeaseState.LIVE
    assert house.state(*QUOTA) is State.RAMPING
    assert not (await house.lease()).claims.is_trial
    house.clock.advance(280)
    assert (await house.report(trial, OK)).lease_state is LeaseState.ENDED


async def test_a_trial_cannot_be_held() -> None:
    house = await half_open(await a_house(CAPPED))
    trial = await house.lease(concurrency=3)
    assert trial.claims.slots == 1
    answer = await house.report(trial, OK, keep_lease=True)
    assert answer.lease_state is LeaseState.ENDED
    assert house.slots_in_use(CAPPED) == 0


async def test_another_lease_of_before_neither_passes_nor_fails_the_trial() -> None:
    house = await a_house(KEY)
    early, other = await house.lease(ttl_s=900), await house.lease(ttl_s=900)
    await half_open(house)
    await house.report(early, OK)
    await house.report(other, EXHAUSTED)
    record = house.circuit(*QUOTA)
    assert record is not None
    assert record.level == 1
    assert house.state(*QUOTA) is State.HALF_OPEN


async def test_a_trial_takes_the_permits_of_all_half_open_circuits_or_none() -> None:
    one, two = a_key("k", account="x"), a_key("m", account="x")
    house = await a_house(one, two)
    restricted, emptied = await house.lease(excluded=("m",)), await house.lease(excluded=("k",))
    await house.report(restricted, FORBIDDEN)
    await house.report(emptied, EXHAUSTED)
    house.clock.advance(1000)
    other = await house.lease(excluded=("k",))
    assert [permit.family for permit in other.claims.permits] == [Family.QUOTA]
    assert await house.refused() is DenialReason.TRIAL_BUSY
    await house.report(other, CANCELLED)
    both = await house.lease(excluded=("m",))
    assert {permit.family for permit in both.claims.permits} == {Family.QUOTA, Family.ACCESS}
    await house.report(both, OK)
    assert house.state(billed(one), Family.QUOTA) is State.RAMPING
    assert house.state(on_model(one), Family.ACCESS) is State.RAMPING


async def test_any_replica_can_hear_how_a_trial_ended() -> None:
    here = await a_house(KEY)
    there = await a_house(name="there", beside=here)
    await half_open(here)
    trial = await here.lease()
    await there.report(trial, OK)
    assert here.state(*QUOTA) is State.RAMPING
    assert (await here.lease()).key == KEY


async def test_an_acquire_that_is_cancelled_gives_the_permit_back() -> None:
    claims = StubClaims()
    house = await half_open(await a_house(KEY, claims=claims))
    claims.hold_answers()
    call = asyncio.create_task(house.acquire())
    await settle()
    call.cancel()
    await settle()
    claims.go_on()
    assert (await house.lease()).claims.is_trial


async def test_a_trial_whose_report_is_cancelled_ends_all_the_same() -> None:
    house = await half_open(await a_house(KEY))
    trial = await house.lease()
    house.log.delay_s = 10
    call = asyncio.create_task(house.report(trial, OK))
    await settle()
    call.cancel()
    await settle()
    assert house.state(*QUOTA) is State.RAMPING
    assert (await house.lease()).key == KEY


async def test_a_repeat_of_the_trials_request_is_the_same_trial() -> None:
    house = await half_open(await a_house(KEY))
    lost = await house.lease(request_id="r")
    again = await house.lease(request_id="r")
    assert await house.refused() is DenialReason.TRIAL_BUSY
    await house.report(again, OK)
    assert house.state(*QUOTA) is State.RAMPING
    assert lost.claims.uid == again.claims.uid
