"""Holders of leases hear of deaths and recoveries, in order and of nothing that is not theirs."""

from dataclasses import replace

import pytest

from broker.core.outcome import Outcome
from broker.services.watching import Death, DeathCause, Synced
from tests.unit.services.answers import (
    BAD_KEY,
    EXHAUSTED,
    FAULT,
    FORBIDDEN,
    LIMITED,
    MINI,
    NO_MODEL,
    OK,
    UNREACHABLE,
    WEAK_401,
)
from tests.unit.services.house import OTHER, a_house
from tests.unit.services.status_given import a_key
from tests.unit.services.watching_given import (
    KEY,
    Watcher,
    death,
    recovery,
    timeless,
    watching,
)

# --- Deaths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "cause", "model"),
    [
        (LIMITED, DeathCause.COOLING_DOWN, "gpt-4o"),
        (EXHAUSTED, DeathCause.EXHAUSTED, ""),
        (BAD_KEY, DeathCause.QUARANTINED, ""),
        (WEAK_401, DeathCause.RESTRICTED, "gpt-4o"),
        (FORBIDDEN, DeathCause.RESTRICTED, "gpt-4o"),
        (NO_MODEL, DeathCause.RESTRICTED, "gpt-4o"),
    ],
)
async def test_a_death_says_what_is_dead_and_until_when(
    outcome: Outcome, cause: DeathCause, model: str
) -> None:
    house, watcher = await watching(KEY)
    await house.call(outcome)
    (news,) = await watcher.heard()
    assert timeless([news]) == [death(cause, model)]
    assert isinstance(news, Death)
    assert (news.until is None) is (cause is DeathCause.QUARANTINED)


async def test_an_upstream_that_opens_is_dead_for_all_keys() -> None:
    house, watcher = await watching(KEY)
    await house.calls(10, FAULT)
    (news,) = await watcher.heard()
    assert timeless([news]) == [Death(DeathCause.UPSTREAM_OPEN, "openai", model="gpt-4o")]


async def test_an_upstream_that_one_principal_cannot_reach_is_dead_for_that_one() -> None:
    house, watcher = await watching(KEY)
    other = Watcher(house, "other")
    await house.calls(5, OK, by=OTHER)
    await other.heard()
    await house.calls(10, UNREACHABLE)
    assert len(await watcher.heard()) == 1
    assert await other.heard() == []


async def test_an_account_out_of_money_kills_its_own_keys_and_no_others() -> None:
    mine, too, foreign = a_key("m", account="x"), a_key("n", account="x"), a_key("o", account="y")
    house, watcher = await watching(mine, too, foreign)
    await house.report(await house.lease(excluded=("n", "o")), EXHAUSTED)
    news = timeless(await watcher.heard())
    assert news == [death(DeathCause.EXHAUSTED, key=mine), death(DeathCause.EXHAUSTED, key=too)]
    assert timeless((await Watcher(house).heard())[1:]) == news
    house.clock.advance(1000)
    await house.report(await house.lease(excluded=("o",)), OK)
    assert await watcher.heard() == [
        recovery(DeathCause.EXHAUSTED, key=mine),
        recovery(DeathCause.EXHAUSTED, key=too),
    ]


async def test_an_endpoint_that_opens_is_dead_for_its_own_keys_and_no_others() -> None:
    near, far = a_key("near"), replace(a_key("far"), base_url="https://far.test")
    house, watcher = await watching(near, far)
    for _ in range(10):
        await house.report(await house.lease(excluded=("near",)), FAULT)
    (news,) = timeless(await watcher.heard())
    assert news == death(DeathCause.UPSTREAM_OPEN, "gpt-4o", far)


async def test_a_secret_is_dead_when_it_has_drained_and_a_key_when_it_is_gone() -> None:
    house, watcher = await watching(KEY)
    new = replace(KEY, revision="new")
    await house.has_keys(new)
    await house.probe()
    assert await watcher.heard() == []
    await house.tick(600)
    await house.has_keys(new)
    assert await watcher.heard() == [death(DeathCause.REMOVED)]
    await house.lease()
    await house.has_keys()
    assert await watcher.heard() == [Death(DeathCause.REMOVED, "openai", "k")]


# --- Who hears what ---------------------------------------------------------------------------


async def test_nobody_hears_of_what_others_use() -> None:
    mine, foreign = a_key("m"), a_key("o")
    house = await a_house(mine, foreign)
    await house.lease(excluded=("o",))
    watcher = Watcher(house)
    await watcher.heard()
    await house.report(await house.lease(by=OTHER, excluded=("m",)), BAD_KEY, by=OTHER)
    await house.report(await house.lease(MINI, by=OTHER, excluded=("o",)), LIMITED, by=OTHER)
    assert await watcher.heard() == []
    assert await Watcher(house).heard() == [Synced(house.clock.now())]


async def test_what_was_used_more_than_an_hour_ago_concerns_nobody() -> None:
    house, watcher = await watching(KEY)
    house.clock.advance(3601)
    await house.report(await house.lease(by=OTHER), BAD_KEY, by=OTHER)
    assert await watcher.heard() == []
