"""Tenants are read when they are asked for, once, and forgotten when others need the room."""

import asyncio
from dataclasses import replace

import pytest

from broker.app.world import Tenancy
from broker.core.revisions import HeldKey
from broker.core.tenancy import PolicyMode
from broker.ports.errors import StoreUnavailableError
from broker.services.tenants import DOUBTED_S, Tenants
from tests.fakes import settle
from tests.unit.services.status_given import Desk, a_desk, a_key

SYSTEM = a_key("s1")


async def a_crowd(cache_size: int, *names: str) -> Desk:
    """Tenants with a key each, none of them at hand."""
    desk = await a_desk(SYSTEM, tenancy=Tenancy(cache_size=cache_size))
    for name in names:
        await desk.keep(f"{name}-1", name)
    for name in names:
        desk.core.tenants.doubt(name)
    desk.clock.advance(DOUBTED_S)
    desk.store.read_tenants.clear()
    return desk


def at_hand(tenants: Tenants, *names: str) -> list[str]:
    return [name for name in names if tenants.find(name) is not None]


async def test_a_tenant_is_read_once_however_many_ask() -> None:
    desk = await a_crowd(10, "acme")
    assert await asyncio.gather(*(desk.leased_for("acme") for _ in range(20))) == ["acme-1"] * 20
    assert await desk.leased_for("acme") == "acme-1"
    assert desk.store.read_tenants == ["acme"]


async def test_a_caller_that_goes_away_takes_the_reading_from_nobody() -> None:
    desk = await a_crowd(10, "acme")
    desk.store.gate = asyncio.Event()
    first, second = (asyncio.ensure_future(desk.leased_for("acme")) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    desk.store.gate.set()
    assert await second == "acme-1"
    assert desk.store.read_tenants == ["acme"]


async def test_a_reading_that_fails_fails_for_those_who_waited_and_no_longer() -> None:
    desk = await a_crowd(10, "acme")
    desk.store.is_down = True
    assert set(await asyncio.gather(*(desk.leased_for("acme") for _ in range(3)))) == {
        "UNAVAILABLE"
    }
    desk.store.is_down = False
    assert await desk.leased_for("acme") == "acme-1"


async def test_the_cache_holds_no_more_than_its_size_and_the_least_used_goes_first() -> None:
    desk = await a_crowd(4, "a", "b", "c")
    tenants = desk.core.tenants
    for name in ("a", "b", "a", "c"):
        await desk.leased_for(name)
    assert at_hand(tenants, "a", "b", "c") == ["a", "c"]
    assert tenants.cost == 4
    assert desk.core.keyring.find("b-1") is None


async def test_what_is_in_use_stays_and_goes_when_it_is_not() -> None:
    desk = await a_crowd(2, "a", "b", "c")
    tenants = desk.core.tenants
    async with tenants.using("a"), tenants.using("a"), tenants.using("b"):
        await desk.leased_for("c")
        assert at_hand(tenants, "a", "b", "c") == ["a", "b"]
    assert tenants.cost <= 2
    assert len(at_hand(tenants, "a", "b", "c")) == 1


async def test_a_tenant_larger_than_the_cache_is_served_all_the_same() -> None:
    desk = await a_crowd(1, "a")
    assert await desk.leased_for("a") == "a-1"
    assert desk.core.tenants.cost == 0


async def test_tenants_that_are_made_up_push_out_no_more_than_the_cache_holds() -> None:
    desk = await a_crowd(50, "a")
    for number in range(500):
        assert await desk.leased_for(f"made-up-{number}") == "s1"
    assert desk.core.tenants.cost == 50
    assert await desk.leased_for("a") == "a-1"


async def test_a_change_while_a_reading_is_under_way_is_read_too() -> None:
    desk = await a_crowd(10, "a")
    desk.store.gate = asyncio.Event()
    reading = asyncio.ensure_future(desk.leased_for("a"))
    await settle()  # it has read the key, and waits
    deleting = asyncio.ensure_future(desk.keeping.delete("ops", "a-1"))
    await settle()
    desk.store.gate.set()
    await deleting
    assert await reading == "NO_KEYS"
    assert await desk.leased_for("a") == "NO_KEYS"


async def test_a_change_right_after_a_reading_has_landed_is_read_too() -> None:
    """The reading is over and its waiters have not run: it must not be taken for the next one."""
    desk = await a_crowd(10, "a")
    tenants, store = desk.core.tenants, desk.store
    for turns in range(12):
        reading = asyncio.ensure_future(tenants.reload("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        begun = len(store.read_tenants)
        await tenants.reload("a")
        assert len(store.read_tenants) > begun
        await reading


async def test_a_key_that_did_not_change_stays_the_same_for_claims_under_way() -> None:
    desk = await a_crowd(10, "a")
    await desk.leased_for("a")
    before = desk.core.keyring.find("a-1")
    assert before is not None
    pool = desk.core.keyring.pool("openai", "gpt-4o", "a")
    await desk.keep("a-2", "a")
    assert desk.core.keyring.leases(before)
    assert desk.core.keyring.pool("openai", "gpt-4o", "a") is not pool


async def test_a_row_that_was_moved_to_another_tenant_takes_no_key_from_its_owner() -> None:
    desk = await a_crowd(10, "a", "b")
    assert await desk.leased_for("a") == "a-1"
    stored = await desk.store.key("a-1")
    assert stored is not None
    (policy,) = await desk.policies.of("b", "openai")
    await desk.store.delete("a-1")
    await desk.store.create(replace(stored, tenant="b"), policy)
    await desk.core.tenants.reload("b")
    assert await desk.leased_for("b") == "b-1"
    known = desk.core.tenants.find("b")
    assert known is not None
    assert list(known.unreadable) == ["a-1"]
    events, _ = await desk.core.world.history.page(before=None, limit=9)
    unreadable = [event for event in events if event.kind == "key_unreadable"]
    assert [event.key_id for event in unreadable] == ["a-1"]
    assert await desk.leased_for("a") == "a-1"  # still at hand; its own row is gone
    await desk.core.tenants.reload("a")
    assert await desk.leased_for("a") == "NO_KEYS"


async def test_a_broken_secret_is_told_once_however_often_it_is_read() -> None:
    desk = await a_crowd(10, "a")
    stored = await desk.store.key("a-1")
    assert stored is not None
    broken = replace(stored.revisions[0].sealed, ciphertext=b"\0" * 40)
    await desk.store.add_revision("a-1", replace(stored.revisions[0], sealed=broken))
    for _ in range(3):
        await desk.core.tenants.reload("a")
    events, _ = await desk.core.world.history.page(before=None, limit=99)
    assert [event.kind for event in events].count("key_unreadable") == 1


async def test_what_is_known_of_probes_outlives_a_reading() -> None:
    desk = await a_crowd(10, "a")
    await desk.leased_for("a")
    key = desk.core.keyring.key("a-1")
    desk.core.keyring.note_probed(key, authenticated_at=5.0)
    await desk.core.tenants.reload("a")
    held = desk.core.keyring.held("a-1")
    assert isinstance(held, HeldKey)
    assert held.revisions[0].authenticated_at == 5.0


async def test_a_doubted_tenant_is_read_at_each_use_for_a_while() -> None:
    desk = await a_crowd(10, "a")
    desk.core.tenants.doubt("a")
    for _ in range(3):
        await desk.leased_for("a")
    assert len(desk.store.read_tenants) == 3
    desk.clock.advance(DOUBTED_S)
    for _ in range(3):
        await desk.leased_for("a")
    assert len(desk.store.read_tenants) == 3


async def test_nobody_is_no_tenant_and_never_read() -> None:
    desk = await a_crowd(10)
    desk.store.is_down = True
    async with desk.core.tenants.using(""):
        assert desk.core.tenants.policy("", "openai").mode is PolicyMode.SYSTEM_ONLY
    with pytest.raises(StoreUnavailableError):
        desk.core.tenants.policy("a", "openai")
