"""Runnable models are those that a lease would be granted for now."""

import pytest

from broker.core.words import Family
from broker.services.errors import (
    InvalidFieldError,
    PageTokenInvalidError,
    ProviderUnknownError,
)
from broker.services.paging import PageRequest
from broker.services.runnable import RunnableModel
from tests.unit.services.status_given import Desk, a_desk, a_key, on_model


async def models(desk: Desk, provider: str = "") -> list[tuple[str, str, int]]:
    page = await desk.runnable.page("gateway", "", provider, PageRequest())
    return [named(model) for model in page.items]


def named(model: RunnableModel) -> tuple[str, str, int]:
    return *model.target, model.key_count


async def test_configured_and_listed_models_come_by_provider_and_name() -> None:
    desk = await a_desk(a_key("k1"), a_key("k2"), a_key("g1", "groq"))
    desk.core.keyring.models.note_listed("openai", ["gpt-zero"])
    assert await models(desk) == [
        ("groq", "llama", 1),
        ("openai", "gpt-4o", 2),
        ("openai", "gpt-mini", 2),
        ("openai", "gpt-zero", 2),
    ]
    assert await models(desk, "groq") == [("groq", "llama", 1)]


async def test_a_model_that_only_worked_once_is_not_shown_to_others() -> None:
    desk = await a_desk(a_key("k1"))
    desk.core.keyring.models.note_worked("openai", "ft:acme-secret")
    assert [model for _, model, _ in await models(desk)] == ["gpt-4o", "gpt-mini"]


async def test_a_model_that_no_key_can_serve_now_is_left_out() -> None:
    one, two = a_key("k1"), a_key("k2", models={"gpt-4o": ""})
    desk = await a_desk(one, two)
    await desk.fail(on_model(one, "gpt-mini"), Family.LIMIT)
    assert await models(desk) == [("openai", "gpt-4o", 2)]
    await desk.administration.disable_upstream("ops", "openai", "gpt-4o", "")
    assert await models(desk) == []


async def test_a_key_without_free_slots_does_not_count() -> None:
    desk = await a_desk(a_key("k1", slots=1, models={"gpt-4o": ""}), a_key("k2"))
    await desk.granted()
    await desk.granted()
    counts = {model: count for _, model, count in await models(desk)}
    assert counts["gpt-mini"] == 1


async def test_pages_hold_every_model_once() -> None:
    desk = await a_desk(a_key("k1"))
    desk.core.keyring.models.note_listed("openai", [f"m{number}" for number in range(5)])
    token, seen = "", []
    for _ in range(4):
        page = await desk.runnable.page("gateway", "", "", PageRequest(2, token))
        seen += [model.target.model for model in page.items]
        token = page.next_token
    assert seen == ["gpt-4o", "gpt-mini", "m0", "m1", "m2", "m3", "m4"]
    assert token == ""


async def test_a_token_continues_only_the_list_it_came_from() -> None:
    desk = await a_desk(a_key("k1"))
    page = await desk.runnable.page("gateway", "", "", PageRequest(1))
    with pytest.raises(PageTokenInvalidError):
        await desk.runnable.page("gateway", "acme", "", PageRequest(1, page.next_token))


async def test_bad_requests_are_faults() -> None:
    desk = await a_desk(a_key("k1"))
    with pytest.raises(ProviderUnknownError):
        await models(desk, "opnai")
    with pytest.raises(InvalidFieldError):
        await desk.runnable.page("gateway", "", "", PageRequest(-1))
