"""What is at hand of tenants is used for so long unconfirmed, and no longer."""

import pytest

from broker.app.world import Tenancy
from broker.ports.changes import Subject
from broker.ports.errors import StoreUnavailableError
from broker.services.acquisition import AcquireRequest
from broker.services.freshness import UNTOLD_S
from tests.unit.services.fleet_given import Fleet, a_fleet
from tests.unit.services.status_given import GPT, Desk, a_desk, a_key

DAY = 86_400.0
SYSTEM = a_key("s1")


async def away(fleet: Fleet, *, for_s: float) -> None:
    """The database goes, and stays away."""
    fleet.feed.is_current = False
    fleet.there.store.is_down = True
    await fleet.tick(for_s)


async def asked_twice(desk: Desk) -> str:
    """The first use after a while finds out that the store does not answer."""
    await desk.leased_for("acme")
    return await desk.leased_for("acme")


async def test_tenants_at_hand_are_served_for_a_day_without_the_database_and_no_longer() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    await away(fleet, for_s=DAY - 1)
    assert await asked_twice(fleet.there) == "acme-1"
    assert await fleet.there.leased_for("stranger") == "UNAVAILABLE"
    await fleet.tick(2)
    assert await fleet.there.leased_for("acme") == "UNAVAILABLE"
    fleet.there.store.is_down = False
    assert await fleet.there.leased_for("acme") == "acme-1"


async def test_what_is_too_old_is_said_to_be() -> None:
    fleet = await a_fleet(Tenancy(max_stale_s=60))
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    await away(fleet, for_s=61)
    with pytest.raises(StoreUnavailableError, match="'acme' is too old to be used"):
        await fleet.there.lease(AcquireRequest(GPT, "acme"))


async def test_a_feed_that_works_keeps_everything_at_hand_fresh() -> None:
    fleet = await a_fleet(Tenancy(max_stale_s=60))
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    for _ in range(10):
        await fleet.tick(30)
    fleet.there.store.read_tenants.clear()
    assert await fleet.there.leased_for("acme") == "acme-1"
    assert fleet.there.store.read_tenants == []
    await away(fleet, for_s=59)
    assert await asked_twice(fleet.there) == "acme-1"


async def test_where_changes_are_not_told_tenants_in_use_are_read_each_second() -> None:
    """The feed may be broken where the tables can be read: a deleted key must not live a day."""
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    fleet.feed.is_current = False
    await fleet.here.keeping.delete("ops", "acme-1")
    await fleet.tick(UNTOLD_S)
    assert await fleet.there.leased_for("acme") == "NO_KEYS"
    fleet.there.store.read_tenants.clear()
    for _ in range(5):
        await fleet.there.leased_for("acme")
    assert fleet.there.store.read_tenants == []


async def test_while_the_store_does_not_answer_who_asks_does_not_wait_for_it() -> None:
    fleet = await a_fleet()
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    await away(fleet, for_s=5)
    await fleet.there.leased_for("acme")
    fleet.there.store.read_tenants.clear()
    for _ in range(100):
        assert await fleet.there.leased_for("acme") == "acme-1"
    assert fleet.there.store.read_tenants == []


async def test_what_is_doubtful_is_as_old_as_when_it_was_last_known() -> None:
    fleet = await a_fleet(Tenancy(max_stale_s=60))
    await fleet.here.keep("acme-1")
    await fleet.there.leased_for("acme")
    fleet.there.store.is_down = True
    fleet.feed.tell(Subject.EVERYTHING)
    for _ in range(6):  # told, yet never read again
        await fleet.tick(9)
        assert await fleet.there.leased_for("acme") == "acme-1"
    await fleet.tick(9)
    assert await fleet.there.leased_for("acme") == "UNAVAILABLE"


async def test_a_broker_alone_on_its_store_goes_by_whether_that_works() -> None:
    fault = ""
    desk = await a_desk(SYSTEM, tenancy=Tenancy(max_stale_s=60))
    desk.core.tenants.freshness.is_current = lambda: not fault
    await desk.keep("acme-1")
    for _ in range(3):
        desk.clock.advance(59)
        await desk.core.following.on_tick()
    assert await desk.leased_for("acme") == "acme-1"
    fault, desk.store.is_down = "the disk fails", True
    desk.clock.advance(61)
    await desk.core.following.on_tick()
    assert await desk.leased_for("acme") == "UNAVAILABLE"


async def test_that_a_tenant_has_nothing_is_known_until_a_change_is_told() -> None:
    fleet = await a_fleet()
    for _ in range(3):
        assert await fleet.there.leased_for("acme") == "s1"
    assert fleet.there.store.read_tenants == ["acme"]
    await fleet.here.keep("acme-1")
    await fleet.told("acme")
    assert await fleet.there.leased_for("acme") == "acme-1"
