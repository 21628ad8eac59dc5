"""What operators set holds until operators lift it."""

import pytest

from broker.core.denial import Denial, Target
from broker.core.words import DenialReason, Family, LeaseState
from broker.ports.event_history import Event
from broker.ports.mark_store import MarkKind
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.errors import (
    KeyUnknownError,
    KeyUnusableError,
    ProviderUnknownError,
)
from broker.services.inventory import EventFilter
from broker.services.paging import PageRequest
from broker.services.standing import KeyState
from broker.services.watching import Death, DeathCause, News, Recovery
from tests.unit.services.status_given import (
    GATEWAY,
    Desk,
    a_desk,
    a_key,
    whole,
)


async def events(desk: Desk) -> list[Event]:
    page = await desk.inventory.events(EventFilter(), PageRequest())
    return [event for event in page.items if event.kind != "source_read"]


async def reason(desk: Desk, request: AcquireRequest | None = None) -> DenialReason:
    answer = await desk.lease(request)
    assert isinstance(answer, Denial)
    return answer.reason


async def test_a_disabled_key_is_leased_again_only_when_it_is_enabled() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.administration.disable_key("ops", "k1", "leaked")
    assert await reason(desk) is DenialReason.ALL_DISABLED
    desk.clock.advance(7 * 86400)
    await desk.core.refreshing.refresh()
    await desk.clearing.clear("ops", whole(key), None)
    assert await reason(desk) is DenialReason.ALL_DISABLED
    await desk.administration.enable_key("ops", "k1")
    assert isinstance(await desk.lease(), Grant)


async def test_a_lease_on_a_disabled_key_cannot_be_renewed() -> None:
    desk = await a_desk(a_key("k1"))
    grant = await desk.granted()
    await desk.administration.disable_key("ops", "k1", "")
    with pytest.raises(KeyUnusableError):
        await desk.core.leasing.renew(GATEWAY, grant.lease_id, 60)


async def test_who_disabled_a_key_first_keeps_the_mark() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.administration.disable_key("ann", "k1", "leaked")
    desk.clock.advance(60)
    await desk.administration.disable_key("bob", "k1", "me too")
    mark = (await desk.inventory.key("k1")).disabled
    assert mark is not None
    assert (mark.principal, mark.reason) == ("ann", "leaked")
    assert [event.principal for event in await events(desk)] == ["ann"]


async def test_enabling_leaves_circuits_as_they_are() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.QUOTA)
    await desk.administration.disable_key("ops", "k1", "")
    await desk.administration.enable_key("ops", "k1")
    assert (await desk.inventory.key("k1")).state is KeyState.EXHAUSTED
    assert await reason(desk) is DenialReason.EXHAUSTED


async def test_every_change_is_one_event_that_names_its_operator() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.administration.disable_key("ops", "k1", "leaked")
    await desk.administration.enable_key("ops", "k1")
    await desk.administration.enable_key("ops", "k1")
    await desk.administration.disable_upstream("ops", "openai", "org/gpt", "")
    await desk.administration.enable_upstream("ops", "openai", "org/gpt")
    await desk.administration.revoke("ops", MarkKind.KEY_REVOKED, "k1", "")
    told = [(event.kind, event.provider, event.key_id, event.model) for event in await events(desk)]
    assert told == [
        ("leases_revoked", "openai", "k1", ""),
        ("upstream_enabled", "openai", "", "org/gpt"),
        ("upstream_disabled", "openai", "", "org/gpt"),
        ("key_enabled", "openai", "k1", ""),
        ("key_disabled", "openai", "k1", ""),
    ]
    assert {event.principal for event in await events(desk)} == {"ops"}
    first = (await events(desk))[-1]
    assert first.message == "key k1: disabled by ops: leaked"
    assert first.attributes["reason"] == "leaked"


async def test_holders_are_told_of_disabling_and_enabling() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.granted()
    watch = desk.core.watching.watch("gateway")
    await anext(watch)
    await desk.administration.disable_key("ops", "k1", "")
    await desk.administration.enable_key("ops", "k1")
    news: list[News] = [await anext(watch), await anext(watch)]
    assert isinstance(news[0], Death)
    assert isinstance(news[1], Recovery)
    assert news[0].cause is news[1].cause is DeathCause.DISABLED


async def test_a_disabled_provider_sends_requests_to_their_fallbacks() -> None:
    desk = await a_desk(a_key("k1"), a_key("g1", "groq"))
    await desk.administration.disable_upstream("ops", "openai", "", "outage")
    gpt, llama = Target("openai", "gpt-4o"), Target("groq", "llama")
    grant = await desk.granted(AcquireRequest(gpt, fallbacks=(llama,)))
    assert grant.key.key_id == "g1"


async def test_enabling_a_provider_leaves_its_models_disabled() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.administration.disable_upstream("ops", "openai", "gpt-4o", "")
    await desk.administration.disable_upstream("ops", "openai", "", "")
    await desk.administration.enable_upstream("ops", "openai", "")
    assert await reason(desk) is DenialReason.ALL_DISABLED
    assert isinstance(await desk.lease(AcquireRequest(Target("openai", "gpt-mini"))), Grant)


async def test_a_model_can_be_disabled_beside_its_provider() -> None:
    desk = await a_desk(a_key("k1"))
    first = await desk.administration.disable_upstream("ann", "openai", "", "")
    second = await desk.administration.disable_upstream("bob", "openai", "gpt-4o", "")
    assert (first.subject, second.subject) == ("openai/", "openai/gpt-4o")


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (MarkKind.KEY_REVOKED, "k1"),
        (MarkKind.TENANT_REVOKED, "acme"),
        (MarkKind.PRINCIPAL_REVOKED, "gateway"),
    ],
)
async def test_revoked_leases_are_dead_and_later_ones_live(kind: MarkKind, subject: str) -> None:
    desk = await a_desk(a_key("k1"))
    request = AcquireRequest(Target("openai", "gpt-4o"), "acme")
    grant = await desk.granted(request)
    desk.clock.advance(1)
    mark = await desk.administration.revoke("ops", kind, subject, "")
    assert mark.at == desk.clock.now()
    now = desk.clock.now()
    assert desk.core.leasing.state(grant.claims, now) is LeaseState.KEY_UNUSABLE
    with pytest.raises(KeyUnusableError) as fault:
        await desk.core.leasing.renew(GATEWAY, grant.lease_id, 60)
    assert fault.value.metadata["cause"] == "revoked"
    desk.clock.advance(1)
    later = await desk.granted(request)
    assert desk.core.leasing.state(later.claims, desk.clock.now()) is LeaseState.LIVE


async def test_revoking_gives_back_slots_and_trials() -> None:
    key = a_key("k1", slots=1)
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.QUOTA)
    desk.clock.advance(3600)
    assert (await desk.granted()).claims.is_trial
    desk.clock.advance(1)
    await desk.administration.revoke("ops", MarkKind.KEY_REVOKED, "k1", "")
    assert len(desk.core.book) == 0
    desk.clock.advance(1)
    assert (await desk.granted()).claims.is_trial


async def test_only_leases_of_the_one_named_are_revoked() -> None:
    desk = await a_desk(a_key("k1"))
    acme = await desk.granted(AcquireRequest(Target("openai", "gpt-4o"), "acme"))
    other = await desk.granted(AcquireRequest(Target("openai", "gpt-4o"), "other"))
    await desk.administration.revoke("ops", MarkKind.TENANT_REVOKED, "acme", "")
    assert desk.core.book.find(acme.claims.uid) is None
    assert desk.core.book.find(other.claims.uid) is not None
    (event,) = await events(desk)
    assert (event.kind, event.provider) == ("leases_revoked", "")
    assert "tenant acme" in event.message


async def test_unknown_names_are_faults_and_change_nothing() -> None:
    desk = await a_desk(a_key("k1"))
    administration = desk.administration
    with pytest.raises(KeyUnknownError):
        await administration.disable_key("ops", "k9", "")
    with pytest.raises(KeyUnknownError):
        await administration.enable_key("ops", "k9")
    with pytest.raises(KeyUnknownError):
        await administration.revoke("ops", MarkKind.KEY_REVOKED, "k9", "")
    with pytest.raises(ProviderUnknownError):
        await administration.disable_upstream("ops", "opnai", "", "")
    with pytest.raises(ProviderUnknownError):
        await administration.enable_upstream("ops", "opnai", "")
    assert await events(desk) == []
