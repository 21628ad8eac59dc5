"""A report that comes twice means the same, and is answered the same."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.health import Counts
from broker.core.outcome import Outcome
from broker.core.words import AdviceAction, Family, Kind, LeaseState, State
from broker.services.acquisition import Grant
from broker.services.errors import ContradictionError
from broker.services.reports import REPEAT_S, NextRequest, Report
from tests.fakes import settle
from tests.unit.services.answers import (
    BAD_KEY,
    FAULT,
    INTERIM,
    LIMITED,
    NO_REGION,
    OK,
)
from tests.unit.services.house import GATEWAY, Flags, a_house
from tests.unit.services.status_given import a_key, on_model, whole

A, B = a_key("a"), a_key("b")
NAMED = replace(LIMITED, outcome_id="o")
NEXT = NextRequest()


async def test_a_repeat_gets_the_same_answer_and_the_same_next_lease() -> None:
    house = await a_house(A, B)
    lease = await house.lease()
    first = await house.report(lease, NAMED, acquire_next=NEXT)
    assert await house.report(lease, NAMED, acquire_next=NEXT) == first
    assert len(house.core.book) == 1
    assert house.meter.counts["judged", "openai", "gpt-4o", Kind.RATE_LIMITED] == 1


async def test_a_repeat_counts_once_at_the_upstream() -> None:
    house = await a_house(A)
    lease = await house.lease()
    for _ in range(3):
        await house.report(lease, replace(FAULT, outcome_id="o"))
    assert house.counts() == Counts(failed=1)


async def test_concurrent_repeats_wait_for_the_one_answer() -> None:
    house = await a_house(A, B)
    lease = await house.lease()
    answers = await asyncio.gather(
        *(house.report(lease, NAMED, acquire_next=NEXT) for _ in range(10))
    )
    assert all(answer == answers[0] for answer in answers)
    assert len(house.core.book) == 1


async def test_a_repeat_of_a_report_whose_caller_left_is_judged_anew_and_teaches_once() -> None:
    house = await a_house(A)
    lease = await house.lease()
    house.log.delay_s = 10
    outcome = replace(BAD_KEY, outcome_id="o")
    left = asyncio.create_task(house.report(lease, outcome))
    await settle()
    waiting = [asyncio.create_task(house.report(lease, outcome)) for _ in range(2)]
    await settle()
    left.cancel()
    await settle()
    for answer in await asyncio.gather(*waiting):
        assert answer.verdict.kind is Kind.INVALID_CREDENTIAL
    record = house.circuit(whole(A), Family.CREDENTIAL)
    assert record is not None
    assert record.level == 1


async def test_the_same_outcome_id_on_another_lease_is_another_outcome() -> None:
    house = await a_house(A, B)
    one, two = await house.lease(excluded=("b",)), await house.lease(excluded=("a",))
    await house.report(one, NAMED)
    await house.report(two, NAMED)
    for key in (A, B):
        assert house.state(on_model(key), Family.LIMIT) is State.OPEN


async def test_an_answer_is_kept_for_a_quarter_of_an_hour() -> None:
    house = await a_house(A)
    lease = await house.lease(ttl_s=900)
    first = await house.report(lease, replace(OK, outcome_id="o"), keep_lease=True)
    house.clock.advance(REPEAT_S)
    assert await house.report(lease, replace(OK, outcome_id="o")) is first
    house.clock.advance(1)
    again = await house.report(lease, replace(OK, outcome_id="o"))
    assert again is not first


async def test_a_repeat_at_another_replica_teaches_nothing_new() -> None:
    here = await a_house(A)
    there = await a_house(name="there", beside=here)
    lease = await here.lease()
    await here.report(lease, NAMED)
    await there.report(lease, NAMED)
    assert len(here.log.appended) + len(there.log.appended) == 1


async def test_reports_without_an_id_are_outcomes_of_their_own() -> None:
    house = await a_house(A)
    held = await house.lease()
    for _ in range(2):
        await house.core.outcomes.report(GATEWAY, Report(held.lease_id, OK, keep_lease=True))
    assert house.counts() == Counts(succeeded=2)


@pytest.mark.parametrize(
    ("outcome", "flags"),
    [
        (LIMITED, Flags(keep_lease=True, acquire_next=NEXT)),
        (INTERIM, Flags(acquire_next=NEXT)),
        (INTERIM, Flags(will_retry=True)),
    ],
)
async def test_flags_that_contradict_each_other_are_refused_before_anything_is_learnt(
    outcome: Outcome, flags: Flags
) -> None:
    house = await a_house(A)
    lease = await house.lease()
    with pytest.raises(ContradictionError):
        await house.report(lease, outcome, **flags)
    assert list(house.core.health.circuits()) == []
    assert (await house.report(lease, OK)).lease_state is LeaseState.ENDED


async def test_a_region_that_is_not_served_blames_no_key() -> None:
    house = await a_house(A)
    answer = await house.call(NO_REGION)
    assert answer.advice.action is AdviceAction.SWITCH_MODEL
    assert list(house.core.health.circuits()) == []


async def test_the_next_lease_says_what_was_tried() -> None:
    house = await a_house(A, B)
    first = await house.lease(request_id="r", tenant="t")
    answer = await house.report(first, LIMITED, acquire_next=NextRequest(ttl_s=60))
    assert isinstance(answer.follow_up, Grant)
    claims = answer.follow_up.claims
    assert claims.tried == (first.key.key_id,)
    assert (claims.attempt, claims.request_id, claims.tenant) == (2, "r", "t")
    assert claims.ends_at == house.clock.now() + 60
