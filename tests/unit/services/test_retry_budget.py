"""Retries after faults of the provider must not become the load that keeps it down."""

from broker.core.denial import Denial
from broker.core.words import AdviceAction, DenialReason
from broker.services.acquisition import Grant
from broker.services.reports import NextRequest
from tests.unit.services.answers import FAULT, LIMITED, OK
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key

A, B = a_key("a"), a_key("b")
NEXT = NextRequest()


async def spend_the_budget(house: House, chains: int = 10) -> None:
    for number in range(chains):
        await house.report(await house.lease(request_id=f"r{number}"), FAULT, will_retry=True)
        await house.report(await house.lease(request_id=f"r{number}"), OK)


async def test_retries_after_faults_are_at_most_ten_in_ten_seconds_of_little_traffic() -> None:
    house = await a_house(A, B)
    await spend_the_budget(house)
    last = await house.lease(request_id="last")
    answer = await house.report(last, FAULT, acquire_next=NEXT)
    assert answer.advice.action is AdviceAction.SWITCH_MODEL
    assert isinstance(answer.follow_up, Denial)
    assert answer.follow_up.reason is DenialReason.UPSTREAM_OPEN
    assert await house.refused(request_id="last") is DenialReason.UPSTREAM_OPEN
    await house.lease(request_id="new")
    house.clock.advance(11)
    await house.lease(request_id="last")


async def test_retries_after_faults_may_be_a_fifth_of_much_traffic() -> None:
    house = await a_house(A, B)
    await house.calls(60, OK)
    await spend_the_budget(house, chains=12)
    await house.report(await house.lease(request_id="last"), FAULT, will_retry=True)
    await house.lease(request_id="last")


async def test_another_key_after_a_limit_costs_no_retry_budget() -> None:
    house = await a_house(*(a_key(f"k{number}") for number in range(24)))
    for number in range(12):
        first = await house.lease(request_id=f"r{number}")
        answer = await house.report(first, LIMITED, acquire_next=NEXT)
        assert isinstance(answer.follow_up, Grant)
        await house.report(answer.follow_up, OK)
    await house.report(await house.lease(request_id="last"), FAULT, will_retry=True)
    await house.lease(request_id="last")
