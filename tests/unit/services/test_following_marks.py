"""Marks that another broker set or lifted have here the effects that they have there."""

import asyncio

import pytest

from broker.core.words import LeaseState
from broker.ports.changes import Subject
from broker.ports.errors import StoreUnavailableError
from broker.ports.mark_store import Mark, MarkKind
from broker.services.acquisition import AcquireRequest
from broker.services.errors import KeyUnusableError
from broker.services.watching import Death, DeathCause, Recovery
from tests.fakes import settle
from tests.unit.services.fleet_given import Fleet, a_fleet
from tests.unit.services.status_given import GATEWAY, GPT, Desk

ACME = AcquireRequest(GPT, "acme")


async def marks_told(fleet: Fleet) -> None:
    fleet.feed.tell(Subject.MARKS)
    await settle()


async def kinds(desk: Desk) -> list[str]:
    events, _ = await desk.core.world.history.page(before=None, limit=99)
    return [event.kind for event in events]


async def test_a_disabled_key_is_leased_nowhere_and_enabled_everywhere() -> None:
    fleet = await a_fleet()
    grant = await fleet.there.granted()
    news = fleet.there.core.watching.watch(GATEWAY.name)
    await anext(news)
    first = asyncio.ensure_future(anext(news))
    await settle()
    await fleet.here.administration.disable_key("ops", "s1", "leaked")
    await marks_told(fleet)
    assert await fleet.there.leased_for("") == "ALL_DISABLED"
    assert await first == Death(DeathCause.DISABLED, "openai", "s1")
    with pytest.raises(KeyUnusableError):
        await fleet.there.core.leasing.renew(GATEWAY, grant.lease_id, 60)
    await fleet.here.administration.enable_key("ops", "s1")
    await marks_told(fleet)
    assert await anext(news) == Recovery(DeathCause.DISABLED, "openai", "s1")
    assert await fleet.there.leased_for("") == "s1"
    await news.aclose()


async def test_a_disabled_upstream_is_so_everywhere() -> None:
    fleet = await a_fleet()
    await fleet.here.administration.disable_upstream("ops", "openai", "", "")
    await marks_told(fleet)
    assert await fleet.there.leased_for("") == "ALL_DISABLED"


async def test_leases_that_another_broker_revoked_end_here() -> None:
    fleet = await a_fleet()
    revoked = await fleet.there.granted(ACME)
    other = await fleet.there.granted()
    await fleet.here.administration.revoke("ops", MarkKind.TENANT_REVOKED, "acme", "")
    await marks_told(fleet)
    leasing, now = fleet.there.core.leasing, fleet.there.clock.now()
    assert leasing.state(revoked.claims, now) is LeaseState.KEY_UNUSABLE
    assert leasing.state(other.claims, now) is LeaseState.LIVE
    assert [live.claims.uid for live in fleet.there.core.book] == [other.claims.uid]


async def test_operators_are_told_by_the_broker_that_did_it_alone() -> None:
    fleet = await a_fleet()
    await fleet.here.administration.disable_key("ops", "s1", "leaked")
    await marks_told(fleet)
    assert "key_disabled" in await kinds(fleet.here)
    assert "key_disabled" not in await kinds(fleet.there)


async def test_the_announcement_in_the_log_is_a_hint_that_may_come_first() -> None:
    fleet = await a_fleet()
    await fleet.here.administration.disable_key("ops", "s1", "leaked")
    await settle()
    assert await fleet.there.leased_for("") == "ALL_DISABLED"


async def test_marks_that_cannot_be_read_are_read_a_second_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = await a_fleet()
    store = fleet.there.core.world.mark_store

    async def fail() -> tuple[Mark, ...]:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as away:
        away.setattr(store, "marks", fail)
        await fleet.here.administration.disable_key("ops", "s1", "")
        await marks_told(fleet)
        await fleet.tick()
        assert await fleet.there.leased_for("") == "s1"
    await fleet.tick()
    assert await fleet.there.leased_for("") == "ALL_DISABLED"


async def test_a_mark_that_is_set_here_while_the_marks_are_read_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = await a_fleet()
    marks, store, gate = fleet.there.core.marks, fleet.there.core.world.mark_store, asyncio.Event()
    read = store.marks

    async def slowly() -> tuple[Mark, ...]:
        found = await read()
        await gate.wait()
        return found

    monkeypatch.setattr(store, "marks", slowly)
    reading = asyncio.ensure_future(marks.load())
    await settle()
    await marks.put(MarkKind.KEY_DISABLED, "s1", "ops")
    gate.set()
    assert (await reading).lifted == ()
    assert marks.disabled_key("s1") is not None


async def test_a_mark_that_was_set_elsewhere_a_moment_ago_can_be_lifted_here() -> None:
    """A balancer may send the two calls of one operator to two brokers."""
    fleet = await a_fleet()
    await fleet.here.core.marks.put(MarkKind.KEY_DISABLED, "s1", "ops")
    assert fleet.there.core.marks.disabled_key("s1") is None  # not told yet
    await fleet.there.administration.enable_key("ops", "s1")
    await fleet.here.core.marks.load()
    assert fleet.here.core.marks.disabled_key("s1") is None
