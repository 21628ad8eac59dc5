"""An explanation says what AcquireLease would answer, and leaves no trace."""

from dataclasses import replace

import pytest

from broker.core.denial import Denial, Target
from broker.core.scope import Upstream, upstream_principal_scope
from broker.core.words import DenialReason, Family
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.errors import ProviderUnknownError
from broker.services.explain import Explanation, WouldGrant
from broker.services.filters import Filter, FilterAnswer
from tests.unit.services.status_given import (
    GPT,
    Desk,
    a_desk,
    a_key,
    on_model,
    whole,
)

REQUEST = AcquireRequest(GPT)
LLAMA = Target("groq", "llama")


async def explain(desk: Desk, request: AcquireRequest = REQUEST) -> Explanation:
    return await desk.explain.acquire("gateway", request)


def answer_of(explanation: Explanation, key_id: str, name: Filter) -> FilterAnswer:
    (upstream,) = explanation.upstreams
    (key,) = [entry for entry in upstream.keys if entry.key.key_id == key_id]
    return next(answer for answer in key.answers if answer.filter is name)


def refusing(explanation: Explanation, key_id: str) -> list[Filter]:
    """The filters that do not admit a key."""
    return [name for name in Filter if not answer_of(explanation, key_id, name).admits]


async def test_a_healthy_key_passes_every_filter_in_order() -> None:
    explanation = await explain(await a_desk(a_key("k1", models={"gpt-4o": "deployment"})))
    granted = explanation.answer
    assert isinstance(granted, WouldGrant)
    assert (granted.key.key_id, granted.provider_model) == ("k1", "deployment")
    assert not granted.is_trial
    (upstream,) = explanation.upstreams
    assert upstream.denial is None
    assert "system keys" in upstream.policy
    assert [answer.filter for answer in upstream.keys[0].answers] == list(Filter)
    assert upstream.keys[0].is_leasable


async def test_every_filter_answers_also_after_the_first_refusal() -> None:
    key = a_key("k1", models={"gpt-mini": ""})
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.CREDENTIAL)
    await desk.administration.disable_key("ops", "k1", "leaked")
    explanation = await explain(desk, replace(REQUEST, excluded=("k1",)))
    assert refusing(explanation, "k1") == [
        Filter.ENABLED,
        Filter.MODEL_ALLOWED,
        Filter.NOT_EXCLUDED,
        Filter.CIRCUITS,
    ]
    assert "ops: leaked" in answer_of(explanation, "k1", Filter.ENABLED).detail


async def test_a_key_that_does_not_allow_the_model_is_explained_all_the_same() -> None:
    explanation = await explain(await a_desk(a_key("k1", models={"gpt-mini": ""})))
    assert isinstance(explanation.answer, Denial)
    assert explanation.answer.reason is DenialReason.MODEL_NOT_ALLOWED
    assert refusing(explanation, "k1") == [Filter.MODEL_ALLOWED]


async def test_open_circuits_are_shown_with_the_wait_that_time_alone_ends() -> None:
    limited, rejected = a_key("k1"), a_key("k2")
    desk = await a_desk(limited, rejected)
    await desk.fail(on_model(limited), Family.LIMIT, hint_s=30)
    await desk.fail(whole(rejected), Family.CREDENTIAL)
    explanation = await explain(desk)
    cooling = answer_of(explanation, "k1", Filter.CIRCUITS)
    assert cooling.retry_delay_s is not None
    assert 30 <= cooling.retry_delay_s <= 33
    assert [view.record.scope for view in cooling.circuits] == [on_model(limited)]
    assert answer_of(explanation, "k2", Filter.CIRCUITS).retry_delay_s is None
    assert isinstance(explanation.answer, Denial)
    assert explanation.answer.reason is DenialReason.COOLING_DOWN


async def test_a_lower_priority_waits_while_a_higher_one_is_left() -> None:
    explanation = await explain(await a_desk(a_key("low"), a_key("high", priority=5)))
    assert refusing(explanation, "high") == []
    assert refusing(explanation, "low") == [Filter.PRIORITY]
    keys = [entry.key.key_id for entry in explanation.upstreams[0].keys]
    assert keys == ["high", "low"]


async def test_full_slots_refuse_a_key_and_the_next_one_would_be_granted() -> None:
    desk = await a_desk(a_key("k1", slots=1, priority=5), a_key("k2"))
    await desk.granted()
    explanation = await explain(desk)
    assert refusing(explanation, "k1") == [Filter.SLOTS]
    assert isinstance(explanation.answer, WouldGrant)
    assert explanation.answer.key.key_id == "k2"


async def test_full_slots_everywhere_are_a_denial_as_of_an_acquire() -> None:
    desk = await a_desk(a_key("k1", slots=1))
    await desk.granted()
    explanation, answer = await explain(desk), await desk.lease()
    assert isinstance(explanation.answer, Denial)
    assert isinstance(answer, Denial)
    assert explanation.answer.reason is answer.reason is DenialReason.AT_CAPACITY


async def test_a_half_open_circuit_makes_a_trial_and_a_trial_under_way_refuses() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.QUOTA)
    desk.clock.advance(3600)
    explanation = await explain(desk)
    assert isinstance(explanation.answer, WouldGrant)
    assert explanation.answer.is_trial
    assert (await desk.granted()).claims.is_trial
    explanation = await explain(desk)
    assert isinstance(explanation.answer, Denial)
    assert explanation.answer.reason is DenialReason.TRIAL_BUSY
    assert refusing(explanation, "k1") == [Filter.CIRCUITS]


async def test_fallbacks_are_explained_until_one_would_be_granted() -> None:
    key = a_key("k1")
    desk = await a_desk(key, a_key("g1", "groq"))
    await desk.fail(whole(key), Family.CREDENTIAL)
    explanation = await explain(desk, replace(REQUEST, fallbacks=(LLAMA, Target("groq", "other"))))
    assert [entry.target for entry in explanation.upstreams] == [GPT, LLAMA]
    first, last = explanation.upstreams
    assert first.denial is not None
    assert first.denial.reason is DenialReason.QUARANTINED
    assert last.denial is None


async def test_a_denial_offers_what_could_be_leased() -> None:
    key = a_key("k1")
    desk = await a_desk(key, a_key("g1", "groq"))
    await desk.fail(whole(key), Family.CREDENTIAL)
    answer = (await explain(desk)).answer
    assert isinstance(answer, Denial)
    assert answer.alternatives == (LLAMA,)


async def test_a_disabled_upstream_is_the_reason_of_every_key() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.administration.disable_upstream("ops", "openai", "gpt-4o", "")
    explanation = await explain(desk)
    assert isinstance(explanation.answer, Denial)
    assert explanation.answer.reason is DenialReason.ALL_DISABLED
    assert refusing(explanation, "k1") == [Filter.ENABLED]


async def test_what_one_gateway_cannot_reach_another_can() -> None:
    desk = await a_desk(a_key("k1"))
    unreached = upstream_principal_scope(Upstream("openai", "", "gpt-4o"), "gateway")
    await desk.fail(unreached, Family.HEALTH)
    denied = await explain(desk)
    assert isinstance(denied.answer, Denial)
    assert denied.answer.reason is DenialReason.UPSTREAM_OPEN
    assert refusing(denied, "k1") == [Filter.CIRCUITS]
    assert isinstance((await desk.explain.acquire("another", REQUEST)).answer, WouldGrant)


async def test_explaining_takes_nothing_and_sets_nothing_aside() -> None:
    limited = a_key("k1")
    desk = await a_desk(limited, a_key("k2", slots=1))
    await desk.fail(on_model(limited), Family.LIMIT)
    for _ in range(5):
        assert isinstance((await explain(desk)).answer, WouldGrant)
    pool = desk.core.keyring.pool(*GPT)
    assert pool.counts() == {}
    assert len(desk.core.book) == 0
    assert isinstance(await desk.lease(), Grant)


async def test_an_unknown_fallback_provider_is_a_fault_as_in_an_acquire() -> None:
    desk = await a_desk(a_key("k1"))
    with pytest.raises(ProviderUnknownError):
        await explain(desk, replace(REQUEST, fallbacks=(Target("opnai", "x"),)))
