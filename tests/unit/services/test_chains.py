"""Upstream health counts requests, not attempts, in whichever way a gateway retries."""

import pytest

from broker.core.denial import Denial
from broker.core.health import Counts
from broker.core.outcome import Outcome
from broker.core.words import AdviceAction, DenialReason
from broker.services.acquisition import Grant
from broker.services.errors import ProviderUnknownError
from broker.services.reports import NextRequest, Report
from tests.unit.services.answers import (
    BAD_REQUEST,
    CANCELLED,
    CUT_OFF,
    FAULT,
    LIMITED,
    LLAMA,
    OK,
    UNREACHABLE,
)
from tests.unit.services.house import GATEWAY, OTHER, a_house
from tests.unit.services.status_given import a_key

A, B, C = a_key("a"), a_key("b"), a_key("c")
ELSEWHERE = a_key("g", "groq")
NEXT = NextRequest()

NOTHING = Counts()
ONE_SUCCESS = Counts(succeeded=1)
ONE_FAULT = Counts(failed=1)


def granted(answer: object) -> Grant:
    assert isinstance(answer, Grant)
    return answer


# --- The three ways of retrying ---------------------------------------------------------------


async def test_a_fault_that_the_gateway_retries_by_itself_is_not_final() -> None:
    house = await a_house(A, B)
    first = await house.lease(request_id="r")
    await house.report(first, FAULT, will_retry=True)
    assert house.counts() == NOTHING
    second = await house.lease(request_id="r", excluded=(first.key.key_id,))
    await house.report(second, OK)
    assert house.counts() == ONE_SUCCESS


async def test_a_fault_that_goes_on_with_acquire_next_is_not_final() -> None:
    house = await a_house(A, B)
    first = await house.lease(request_id="r")
    answer = await house.report(first, FAULT, acquire_next=NEXT)
    second = granted(answer.follow_up)
    assert second.key.key_id != first.key.key_id
    assert house.counts() == NOTHING
    await house.report(second, OK)
    assert house.counts() == ONE_SUCCESS


async def test_a_fault_of_a_request_that_is_just_acquired_again_is_taken_back() -> None:
    house = await a_house(A, B)
    await house.report(await house.lease(request_id="r"), FAULT)
    assert house.counts() == ONE_FAULT
    second = await house.lease(request_id="r")
    assert house.counts() == NOTHING
    await house.report(second, OK)
    assert house.counts() == ONE_SUCCESS


async def test_a_fault_is_taken_back_within_thirty_seconds_only() -> None:
    house = await a_house(A, B)
    await house.report(await house.lease(request_id="r"), FAULT)
    house.clock.advance(30.5)
    await house.lease(request_id="r")
    assert house.counts() == ONE_FAULT


@pytest.mark.parametrize("same", ["principal", "tenant"])
async def test_a_fault_is_not_taken_back_by_the_same_request_id_of_somebody_else(same: str) -> None:
    house = await a_house(A, B)
    await house.report(await house.lease(request_id="r", tenant="t"), FAULT)
    if same == "principal":
        await house.lease(request_id="r", tenant="u")
    else:
        await house.lease(by=OTHER, request_id="r", tenant="t")
    assert house.counts() == ONE_FAULT


async def test_a_chain_of_final_faults_counts_once() -> None:
    house = await a_house(A, B)
    for _ in range(2):
        await house.report(await house.lease(request_id="r"), FAULT)
    assert house.counts() == ONE_FAULT


async def test_requests_without_an_id_are_chains_of_their_own() -> None:
    house = await a_house(A, B)
    for _ in range(2):
        await house.report(await house.lease(), FAULT)
    assert house.counts() == Counts(failed=2)


async def test_requests_on_a_held_lease_are_told_apart_by_their_own_ids() -> None:
    house = await a_house(A)
    held = await house.lease(request_id="r")
    for number in range(3):
        outcome = Outcome(http_status=500, request_id=f"r{number}")
        await house.report(held, outcome, keep_lease=True)
    await house.report(held, FAULT, keep_lease=True)
    await house.report(held, FAULT, keep_lease=True)
    assert house.counts() == Counts(failed=5)


# --- The end of a chain -----------------------------------------------------------------------


async def test_a_chain_that_goes_on_at_another_upstream_counts_at_the_first() -> None:
    house = await a_house(A, ELSEWHERE)
    await house.report(await house.lease(request_id="r"), FAULT, will_retry=True)
    second = await house.lease(LLAMA, request_id="r")
    assert house.counts() == ONE_FAULT
    await house.report(second, OK)
    assert house.counts() == ONE_FAULT
    assert house.counts(LLAMA) == ONE_SUCCESS


async def test_a_chain_that_acquire_next_leads_to_a_fallback_counts_at_the_first() -> None:
    house = await a_house(A, ELSEWHERE)
    first = await house.lease(request_id="r")
    second = await house.report(first, FAULT, acquire_next=NEXT)
    assert isinstance(second.follow_up, Grant)  # the same key, since no other is left
    third = await house.report(
        second.follow_up, FAULT, acquire_next=NextRequest(fallbacks=(LLAMA,))
    )
    assert granted(third.follow_up).claims.upstream.model == "llama"
    assert house.counts() == ONE_FAULT


@pytest.mark.parametrize("last", [OK, FAULT])
async def test_a_chain_over_held_leases_of_two_upstreams_counts_at_the_first(last: Outcome) -> None:
    house = await a_house(A, ELSEWHERE)
    one, two = await house.lease(), await house.lease(LLAMA)
    fault = Outcome(http_status=500, request_id="r")
    await house.report(one, fault, keep_lease=True, will_retry=True)
    await house.report(two, Outcome(http_status=last.http_status, request_id="r"), keep_lease=True)
    assert house.counts() == ONE_FAULT
    assert house.counts(LLAMA) == (ONE_SUCCESS if last is OK else ONE_FAULT)


async def test_a_caller_who_gives_up_after_faults_makes_them_final() -> None:
    house = await a_house(A, B)
    first = await house.lease(request_id="r")
    answer = await house.report(first, FAULT, acquire_next=NEXT)
    await house.report(granted(answer.follow_up), CANCELLED)
    assert house.counts() == ONE_FAULT


async def test_a_caller_who_gives_up_without_a_fault_counts_nothing() -> None:
    house = await a_house(A, B)
    await house.report(await house.lease(request_id="r"), CANCELLED)
    assert house.counts() == NOTHING


async def test_giving_up_counts_a_chain_once_however_often_it_is_told() -> None:
    house = await a_house(A, B)
    answer = await house.report(await house.lease(request_id="r"), FAULT, acquire_next=NEXT)
    for _ in range(2):
        await house.report(granted(answer.follow_up), CANCELLED)
    assert house.counts() == ONE_FAULT


async def test_giving_up_counts_faults_that_only_the_lease_tells_of() -> None:
    house = await a_house(A, B)
    there = await a_house(name="there", beside=house)
    answer = await there.report(await there.lease(request_id="r"), FAULT, acquire_next=NEXT)
    for _ in range(2):
        await house.report(granted(answer.follow_up), CANCELLED)
    assert house.counts() == ONE_FAULT


async def test_a_chain_that_is_denied_its_next_key_counts() -> None:
    house = await a_house(A)
    await house.report(await house.lease(request_id="r"), FAULT, will_retry=True)
    second = await house.lease(request_id="r")
    answer = await house.report(second, LIMITED, acquire_next=NEXT)
    assert isinstance(answer.follow_up, Denial)
    assert house.counts() == ONE_FAULT


async def test_a_fault_in_mid_stream_counts_although_the_next_key_was_asked_for() -> None:
    house = await a_house(A, B)
    answer = await house.report(await house.lease(request_id="r"), CUT_OFF, acquire_next=NEXT)
    assert answer.advice.action is AdviceAction.STOP
    assert answer.follow_up is None
    assert house.counts() == ONE_FAULT


async def test_a_retry_that_the_provider_served_with_a_refusal_is_no_fault_of_it() -> None:
    house = await a_house(A, B)
    answer = await house.report(await house.lease(request_id="r"), FAULT, acquire_next=NEXT)
    await house.report(granted(answer.follow_up), BAD_REQUEST, acquire_next=NEXT)
    assert house.counts() == NOTHING


# --- Faults so far ----------------------------------------------------------------------------


async def test_after_two_faults_in_a_chain_only_fallbacks_are_tried() -> None:
    house = await a_house(A, B, C, ELSEWHERE)
    one = await house.report(await house.lease(request_id="r"), FAULT, acquire_next=NEXT)
    assert one.advice.action is AdviceAction.RETRY_OTHER_KEY
    wanted = NextRequest(fallbacks=(LLAMA,))
    two = await house.report(granted(one.follow_up), UNREACHABLE, acquire_next=wanted)
    assert two.advice.action is AdviceAction.SWITCH_MODEL
    assert granted(two.follow_up).claims.upstream.model == "llama"
    assert granted(two.follow_up).claims.faults == 0


async def test_after_two_faults_in_a_chain_without_fallbacks_there_is_no_next_key() -> None:
    house = await a_house(A, B, C)
    one = await house.report(await house.lease(request_id="r"), FAULT, acquire_next=NEXT)
    two = await house.report(granted(one.follow_up), FAULT, acquire_next=NEXT)
    assert isinstance(two.follow_up, Denial)
    assert two.follow_up.reason is DenialReason.UPSTREAM_OPEN


async def test_faults_that_another_replica_heard_of_travel_in_the_lease() -> None:
    here = await a_house(A, B, C)
    there = await a_house(name="there", beside=here)
    one = await here.report(await here.lease(request_id="r"), FAULT, acquire_next=NEXT)
    two = await there.report(granted(one.follow_up), FAULT, acquire_next=NEXT)
    assert two.advice.action is AdviceAction.SWITCH_MODEL


async def test_a_gateway_that_acquires_again_is_stopped_after_two_faults_as_well() -> None:
    house = await a_house(A, B, C)
    for _ in range(2):
        await house.report(await house.lease(request_id="r"), FAULT, will_retry=True)
    assert await house.refused(request_id="r") is DenialReason.UPSTREAM_OPEN


async def test_a_report_that_is_made_again_adds_no_fault_to_its_chain() -> None:
    house = await a_house(A, B, C)
    first = await house.lease(request_id="r")
    fault = Outcome(http_status=500, outcome_id="o")
    answer = await house.report(first, fault, acquire_next=NEXT)
    taken_back = granted(answer.follow_up)
    report = Report(first.lease_id, fault)
    await house.core.outcomes.take_back(GATEWAY, report, taken_back)
    again = await house.report(first, fault, acquire_next=NEXT)
    assert again.advice.action is AdviceAction.RETRY_OTHER_KEY
    assert granted(again.follow_up).claims.faults == 1


async def test_an_unknown_fallback_fails_before_anything_is_learnt() -> None:
    house = await a_house(A)
    first = await house.lease(request_id="r")
    wanted = NextRequest(fallbacks=(LLAMA._replace(provider="nobody"),))
    with pytest.raises(ProviderUnknownError):
        await house.report(first, FAULT, acquire_next=wanted)
    assert not len(house.core.upstreams.chains)
    answer = await house.report(first, FAULT, acquire_next=NEXT)
    assert granted(answer.follow_up).claims.faults == 1
