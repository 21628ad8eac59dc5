"""Whatever the trouble, an explanation says what the acquire right after it answers."""

from dataclasses import replace
from random import Random

import pytest

from broker.core.denial import Denial, Target
from broker.core.words import Family
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.explain import WouldGrant
from tests.unit.services.status_given import Desk, a_desk, a_key, on_model, whole

MODELS = ("gpt-4o", "gpt-mini", "made-up")
FAMILIES = (Family.LIMIT, Family.QUOTA, Family.CREDENTIAL, Family.ACCESS)
ONE_MODEL = {"gpt-4o": "deployment"}


@pytest.mark.parametrize("seed", range(20))
async def test_an_explanation_agrees_with_the_acquire_that_follows(seed: int) -> None:
    random = Random(seed)
    keys = [
        a_key(
            f"k{number}",
            slots=random.choice((0, 1, 2)),
            priority=random.choice((0, 1)),
            models=random.choice(({}, ONE_MODEL)),
        )
        for number in range(4)
    ]
    desk = await a_desk(*keys)
    for step in range(40):
        await trouble(desk, random)
        request = AcquireRequest(
            Target("openai", random.choice(MODELS)),
            fallbacks=random.choice(((), (Target("openai", "gpt-mini"),))),
            excluded=random.choice(((), ("k0",), ("k0", "k1"))),
            concurrency=random.choice((1, 1, 2)),
        )
        await agree(desk, replace(request, request_id=f"r{step}"))


async def agree(desk: Desk, request: AcquireRequest) -> None:
    """Explain, acquire, compare; leases are kept, so that slots and trials run out."""
    explained = await desk.explain.acquire("gateway", request)
    answer = await desk.lease(request)
    keys = {entry.key.key_id: entry for entry in explained.upstreams[-1].keys}
    leasable = {key_id for key_id, entry in keys.items() if entry.is_leasable}
    if isinstance(answer, Grant):
        assert isinstance(explained.answer, WouldGrant)
        assert explained.answer.upstream == answer.claims.upstream
        assert {answer.key.key_id, explained.answer.key.key_id} <= leasable
        circuits = keys[answer.key.key_id].answers[3]
        assert ("trial" in circuits.detail) is answer.claims.is_trial
    else:
        assert isinstance(explained.answer, Denial)
        assert explained.answer.reason is answer.reason
        assert explained.answer.action is answer.action
        assert leasable == set()


async def trouble(desk: Desk, random: Random) -> None:
    """One random thing happens."""
    key = desk.core.keyring.key(f"k{random.randrange(4)}")
    chance = random.random()
    if chance < 0.2:
        await desk.fail(whole(key), random.choice(FAMILIES))
    elif chance < 0.4:
        await desk.fail(on_model(key, random.choice(MODELS)), random.choice(FAMILIES[:2]))
    elif chance < 0.5:
        await desk.administration.disable_key("ops", key.key_id, "")
    elif chance < 0.7:
        await desk.administration.enable_key("ops", key.key_id)
    elif chance < 0.8:
        await desk.clearing.clear("ops", whole(key), None)
    else:
        desk.clock.advance(random.choice((0.1, 1.0, 10.0, 1000.0)))
        await desk.core.ending.sweep()
