"""What else there is when the first upstream has nothing: fallbacks, and alternatives to offer."""

from dataclasses import replace

from broker.core.denial import Target
from broker.core.words import DenialReason
from broker.ports.mark_store import MarkKind
from broker.services.alternatives import MAX_ALTERNATIVES
from broker.services.keyring import MAX_GLIMPSED
from tests.unit.services.answers import (
    BAD_KEY,
    EXHAUSTED,
    FORBIDDEN,
    GPT,
    LIMITED,
    LLAMA,
    MINI,
    PROVIDERS,
)
from tests.unit.services.house import a_house
from tests.unit.services.status_given import a_key

A = a_key("a")


async def test_fallbacks_are_tried_in_their_order() -> None:
    house = await a_house(A, a_key("g", "groq"))
    await house.call(FORBIDDEN)
    lease = await house.lease(fallbacks=(Target("public", "open"), LLAMA, MINI))
    assert lease.claims.upstream.model == "llama"


async def test_a_denial_with_fallbacks_tells_of_the_first_upstream() -> None:
    house = await a_house(A)
    await house.call(FORBIDDEN)
    assert await house.refused(fallbacks=(LLAMA,)) is DenialReason.RESTRICTED


async def test_alternatives_are_what_could_be_leased_right_now() -> None:
    fallback = Target("public", "open")
    providers = {**PROVIDERS, "openai": replace(PROVIDERS["openai"], fallbacks=(fallback, LLAMA))}
    keys = (A, a_key("g", "groq"), a_key("p", "public"))
    house = await a_house(*keys, providers=providers)
    await house.call(FORBIDDEN)
    assert (await house.denial()).alternatives == (fallback, LLAMA, MINI)
    await house.call(LIMITED, LLAMA)
    assert (await house.denial()).alternatives == (fallback, MINI)
    await house.core.marks.put(MarkKind.UPSTREAM_DISABLED, "openai/gpt-mini", "ops")
    await house.report(await house.lease(fallback), BAD_KEY)
    assert (await house.denial()).alternatives == ()


async def test_what_was_asked_for_is_no_alternative_to_itself() -> None:
    house = await a_house(A)
    denial = await house.denial(excluded=("a",), fallbacks=(MINI,))
    assert GPT not in denial.alternatives
    assert MINI not in denial.alternatives


async def test_looking_for_alternatives_claims_and_counts_nothing() -> None:
    house = await a_house(A)
    await house.call(EXHAUSTED)
    house.clock.advance(1000)
    await house.denial(excluded=("a",))
    assert (await house.lease()).claims.is_trial


async def test_a_denial_looks_at_a_few_keys_of_models_that_nobody_asked_for() -> None:
    models = tuple(f"m{number}" for number in range(64))
    providers = {"openai": replace(PROVIDERS["openai"], models=models)}
    house = await a_house(*(a_key(f"k{number}") for number in range(2000)), providers=providers)
    everybody = tuple(key.key_id for key in house.source.keys)
    denial = await house.denial(excluded=everybody)
    assert len(denial.alternatives) == MAX_ALTERNATIVES
    assert len(house.core.keyring.glimpse("openai", "m0")) == MAX_GLIMPSED
    await house.lease(Target("openai", "m0"))
    assert len(house.core.keyring.glimpse("openai", "m0")) == 2000
