"""An upstream opens by the rate of failed requests, for everybody or for one principal."""

from dataclasses import replace

import pytest

from broker.core.health import Counts
from broker.core.outcome import Outcome
from broker.core.scope import Upstream, upstream_principal_scope, upstream_scope
from broker.core.words import DenialReason, Family, State
from broker.ports.prober import Probed
from tests.unit.services.answers import (
    BAD_REQUEST,
    FAULT,
    LIMITED,
    MINI,
    OK,
    OVERLOADED,
    STRANGE,
    UNREACHABLE,
)
from tests.unit.services.house import (
    AUTHENTICATED,
    OTHER,
    UNREACHED,
    House,
    a_house,
)
from tests.unit.services.status_given import a_key

A, B = a_key("a"), a_key("b")
UPSTREAM = Upstream("openai", "", "gpt-4o")
WHOLE = upstream_scope(UPSTREAM)
MINE = upstream_principal_scope(UPSTREAM, "gateway")


async def probe(house: House, key_id: str, found: Probed) -> None:
    """Probe a key, with this result."""
    house.prober.will_find(key_id, found)
    async for _ in house.core.probing.probe_now([house.core.keyring.key(key_id)]):
        pass


def is_open(house: House) -> bool:
    return house.state(WHOLE, Family.HEALTH) is State.OPEN


async def opened(*, by: Outcome = FAULT) -> House:
    """A house whose upstream has just opened."""
    house = await a_house(A, B)
    await house.calls(10, by)
    assert is_open(house)
    return house


async def half_opened() -> House:
    house = await opened()
    house.clock.advance(20)
    assert house.state(WHOLE, Family.HEALTH) is State.HALF_OPEN
    return house


# --- Trips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [FAULT, OVERLOADED])
async def test_ten_requests_in_a_row_that_failed_open_an_upstream(fault: Outcome) -> None:
    house = await a_house(A, B)
    await house.calls(9, fault)
    assert not is_open(house)
    await house.call(fault)
    assert is_open(house)
    denial = await house.denial()
    assert denial.reason is DenialReason.UPSTREAM_OPEN
    assert denial.retry_delay_s is not None
    assert 15 <= denial.retry_delay_s <= 16.5
    assert denial.help_url == "https://status.spoken.test"
    await house.lease(MINI)


async def test_half_of_twenty_requests_that_failed_open_an_upstream() -> None:
    house = await a_house(A, B)
    for _ in range(9):
        await house.calls(1, FAULT)
        await house.calls(1, OK)
    await house.call(OK)
    assert not is_open(house)
    await house.call(FAULT)
    assert is_open(house)


async def test_only_a_failure_trips() -> None:
    house = await a_house(A, B)
    for _ in range(2):
        await house.calls(5, FAULT)
        await house.calls(4, OK)
    await house.calls(1, OK)
    assert house.counts() == Counts(succeeded=9, failed=10)
    await house.call(OK)
    assert not is_open(house)


@pytest.mark.parametrize("innocent", [LIMITED, BAD_REQUEST])
async def test_what_is_no_fault_of_the_provider_does_not_count(innocent: Outcome) -> None:
    house = await a_house(*(a_key(f"k{number}") for number in range(12)))
    await house.calls(12, innocent)
    assert house.counts() == Counts()


async def test_failures_go_out_of_the_window_after_a_minute() -> None:
    house = await a_house(A, B)
    for _ in range(9):
        await house.calls(1, FAULT)
        await house.calls(1, OK)
    house.clock.advance(61)
    await house.call(FAULT)
    assert house.counts() == Counts(failed=1)
    assert not is_open(house)


async def test_calls_that_began_before_an_upstream_reopened_do_not_count() -> None:
    house = await half_opened()
    trial = await house.lease()
    early = replace(FAULT, started_ago_s=30.0)
    await house.report(trial, OK)
    assert house.state(WHOLE, Family.HEALTH) is State.RAMPING
    assert house.counts() == Counts()
    house.clock.advance(12)
    late = await house.lease()
    house.clock.advance(1)
    await house.report(late, replace(early, started_ago_s=0.5))
    assert house.counts() == Counts(failed=1)


async def test_a_lease_granted_before_an_upstream_reopened_teaches_nothing_of_it() -> None:
    house = await a_house(A, B)
    early = await house.lease()
    await house.calls(10, FAULT)
    house.clock.advance(20)
    await house.call(OK)
    await house.report(early, FAULT)
    assert house.counts() == Counts()


async def test_an_upstream_that_reopened_trips_by_its_rate_and_not_by_one_failure() -> None:
    house = await half_opened()
    await house.call(OK)
    house.clock.advance(12)
    await house.calls(9, FAULT)
    assert not is_open(house)
    await house.call(FAULT)
    assert is_open(house)


async def test_the_windows_of_busy_upstreams_outlive_any_number_of_made_up_models() -> None:
    house = await a_house(A, B)
    await house.calls(9, FAULT)
    for number in range(5000):
        await house.acquire(STRANGE._replace(model=f"made-up-{number}"))
        if number % 1000 == 0:
            await house.lease()
    await house.call(FAULT)
    assert is_open(house)


# --- The trial --------------------------------------------------------------------------------


async def test_one_trial_decides_about_a_half_open_upstream() -> None:
    house = await half_opened()
    trial = await house.lease()
    assert trial.claims.is_trial
    assert await house.refused() is DenialReason.TRIAL_BUSY
    assert await house.refused(by=OTHER) is DenialReason.TRIAL_BUSY
    await house.report(trial, OK)
    assert house.state(WHOLE, Family.HEALTH) is State.RAMPING


async def test_a_trial_that_fails_opens_the_upstream_for_longer() -> None:
    house = await half_opened()
    await house.call(FAULT)
    denial = await house.denial()
    assert denial.retry_delay_s is not None
    assert 30 <= denial.retry_delay_s <= 33


async def test_a_trial_that_meets_a_rate_limit_gives_its_permit_back() -> None:
    house = await half_opened()
    await house.call(LIMITED)
    assert house.state(WHOLE, Family.HEALTH) is State.HALF_OPEN
    assert (await house.lease()).claims.is_trial


async def test_a_ramping_upstream_admits_twice_as_many_leases_each_step() -> None:
    house = await half_opened()
    await house.call(OK)
    await house.lease()
    denial = await house.denial()
    assert denial.reason is DenialReason.AT_CAPACITY
    assert denial.retry_delay_s == pytest.approx(2)
    house.clock.advance(2)
    await house.lease()
    assert await house.refused() is DenialReason.AT_CAPACITY


# --- Unreachable ------------------------------------------------------------------------------


async def test_the_only_principal_that_cannot_reach_an_upstream_opens_it() -> None:
    await opened(by=UNREACHABLE)


async def test_one_of_two_principals_that_cannot_reach_an_upstream_is_kept_away_alone() -> None:
    house = await a_house(A, B)
    await house.calls(5, OK, by=OTHER)
    await house.calls(10, UNREACHABLE)
    assert not is_open(house)
    assert house.state(MINE, Family.HEALTH) is State.OPEN
    assert await house.refused() is DenialReason.UPSTREAM_OPEN
    await house.lease(by=OTHER)


async def test_two_principals_that_cannot_reach_an_upstream_open_it() -> None:
    house = await a_house(A, B)
    await house.calls(2, UNREACHABLE, by=OTHER)
    await house.calls(10, UNREACHABLE)
    assert is_open(house)


async def test_a_probe_that_does_not_reach_the_provider_agrees_with_a_principal() -> None:
    house = await a_house(A, B)
    await house.calls(5, OK, by=OTHER)
    await probe(house, "a", UNREACHED)
    await house.calls(10, UNREACHABLE)
    assert is_open(house)


@pytest.mark.parametrize("since", ["a minute ago", "until it was reached"])
async def test_a_probe_agrees_for_a_minute_and_until_one_comes_through(since: str) -> None:
    house = await a_house(A, B)
    await probe(house, "a", UNREACHED)
    if since == "a minute ago":
        house.clock.advance(61)
    else:
        await probe(house, "b", AUTHENTICATED)
    await house.calls(5, OK, by=OTHER)
    await house.calls(10, UNREACHABLE)
    assert not is_open(house)


async def test_a_probe_of_another_endpoint_says_nothing_of_this_one() -> None:
    house = await a_house(A, replace(B, base_url="https://other.test"))
    await probe(house, "b", UNREACHED)
    await house.calls(5, OK, by=OTHER)
    for _ in range(10):
        lease = await house.lease(excluded=("b",))
        await house.report(lease, UNREACHABLE)
    assert not is_open(house)


async def test_a_principal_that_reaches_the_upstream_again_starts_with_an_empty_window() -> None:
    house = await a_house(A, B)
    await house.calls(5, OK, by=OTHER)
    for _ in range(10):
        await house.calls(1, UNREACHABLE)
        await house.calls(1, OK)
    await house.call(UNREACHABLE)
    assert house.state(MINE, Family.HEALTH) is State.OPEN
    house.clock.advance(20)
    await house.call(OK)
    assert house.state(MINE, Family.HEALTH) is State.RAMPING
    house.clock.advance(12)
    await house.call(UNREACHABLE)
    assert house.state(MINE, Family.HEALTH) is not State.OPEN
    assert house.counts().unreachable == 1
