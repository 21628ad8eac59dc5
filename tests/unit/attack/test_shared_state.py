"""What one caller does must cost no other: each test is a way in which it once did."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.denial import Target
from broker.core.key import Key, KeyLimits
from broker.core.outcome import Outcome
from broker.core.scope import key_scope
from broker.core.words import Family, State
from broker.ports.mark_store import MarkKind
from broker.services.administration import Administration
from broker.services.paging import Pager
from broker.services.tokens import Tokens
from broker.services.usage import MAX_USES
from broker.services.watching import Death
from tests.unit.services.answers import GPT
from tests.unit.services.house import GATEWAY, OTHER, House, a_house
from tests.unit.services.status_given import a_key

MINUTE_S = 60.0
NO_MONEY = Outcome(http_status=429, body=b'{"code": "no-money"}', started_ago_s=0.0)
FINE = Outcome(http_status=200, started_ago_s=0.0)


def capped(**limits: int) -> Key:
    """A key with caps."""
    return replace(a_key("openai/1"), limits=KeyLimits(**limits))


async def test_an_absurd_estimate_took_a_key_from_everybody_for_ever() -> None:
    house = await a_house(capped(tokens_per_minute=1000))
    await house.lease(by=OTHER, estimated_tokens=2**62)
    house.clock.advance(MINUTE_S + 1.0)
    await house.lease(by=GATEWAY, estimated_tokens=10)


async def test_a_request_too_large_for_what_is_left_set_the_key_aside_for_small_ones() -> None:
    house = await a_house(capped(tokens_per_minute=1000))
    await house.lease(estimated_tokens=600)
    denial = await house.denial(by=OTHER, estimated_tokens=1000)
    assert denial.retry_delay_s == pytest.approx(36.0, abs=0.01)
    await house.lease(by=GATEWAY, estimated_tokens=10)
    await house.lease(by=GATEWAY)


async def test_a_key_that_a_large_request_had_tried_was_set_aside_for_small_ones() -> None:
    key = capped(tokens_per_minute=1000)
    house = await a_house(key)
    await house.lease(estimated_tokens=600)
    await house.denial(by=OTHER, estimated_tokens=1000, excluded=(key.key_id,))
    await house.lease(by=GATEWAY, estimated_tokens=10)


async def test_a_trial_that_had_failed_was_reported_anew_and_healed_its_circuit() -> None:
    key = a_key("openai/1")
    house = await a_house(key)
    scope = key_scope(key.provider, key.key_id, key.revision)
    await house.call(NO_MONEY)
    house.clock.advance(3600.0)
    trial = await house.lease()
    assert trial.claims.is_trial
    await house.report(trial, NO_MONEY)
    house.clock.advance(5.0)
    await house.report(trial, FINE)
    assert house.state(scope, Family.QUOTA) is State.OPEN


async def test_every_watcher_was_told_which_tenants_leases_were_revoked() -> None:
    house = await a_house(a_key("openai/1"))
    await house.lease(by=GATEWAY, tenant="acme")
    await house.lease(by=OTHER, tenant="umbrella")
    core = house.core
    mine, theirs = core.watching.watch(GATEWAY.name), core.watching.watch(OTHER.name)
    await anext(mine)
    await anext(theirs)
    operators = Administration(
        core.keyring, core.tenants, core.health, core.marks, core.mark_effects
    )
    await operators.revoke("operator", MarkKind.TENANT_REVOKED, "acme", "")
    told = await anext(mine)
    assert isinstance(told, Death)
    assert told.tenant == "acme"
    waiting = asyncio.ensure_future(anext(theirs))
    assert not (await asyncio.wait({waiting}, timeout=0.05))[0], "another's tenant was told"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    again = core.watching.watch(OTHER.name)
    await anext(again)
    waiting = asyncio.ensure_future(anext(again))
    assert not (await asyncio.wait({waiting}, timeout=0.05))[0], "told to who came later"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_principal_of_many_tenants_was_not_told_of_the_key_it_used_most() -> None:
    house = await a_house(a_key("openai/1"))
    usage = house.core.usage
    often = (await house.lease(tenant="often")).claims
    for number in range(MAX_USES):
        usage.note(replace(often, tenant="often"), house.clock.now())
        usage.note(replace(often, tenant=f"once-{number}"), house.clock.now())
    assert usage.does_serve(GATEWAY.name, "often", house.clock.now())
    assert not usage.does_serve(GATEWAY.name, "once-0", house.clock.now())


async def test_a_change_on_one_model_looked_at_the_pools_of_all_made_up_ones() -> None:
    house = await a_house(a_key("openai/1"))
    keyring = house.core.keyring
    looked: list[str] = []
    for number in range(50):
        model = f"made-up-{number}"
        _spy(keyring.pool(GPT.provider, model), model, looked)
    limited = Outcome(http_status=429, body=b'{"code": "limit"}', started_ago_s=0.0)
    await house.call(limited, Target(GPT.provider, "made-up-1"))
    assert set(looked) <= {"made-up-1"}


def _spy(pool: object, model: str, looked: list[str]) -> None:
    find = pool.find  # type: ignore[attr-defined]

    def spied(key_id: str) -> object:
        looked.append(model)
        return find(key_id)

    pool.find = spied  # type: ignore[attr-defined]


async def test_the_secrets_that_sign_stood_in_reprs(house_of_one: House) -> None:
    signing = b"zq-signs-leases-0123456789abcdef"
    tokens = Tokens.of([signing])
    assert "zq-signs" not in repr(Pager((signing,)))
    assert repr(tokens.keys[0]) not in repr(tokens)
    shown = repr(house_of_one.core)
    assert all(repr(secret) not in shown for secret in house_of_one.core.world.secrets)
    assert all(repr(key) not in shown for key in house_of_one.core.outcomes.tokens.keys)


@pytest.fixture
async def house_of_one() -> House:
    """A house with one key."""
    return await a_house(a_key("openai/1"))
