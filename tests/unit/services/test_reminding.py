"""Keys that expire are reminded of a week, a day and no time before, each once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from broker.adapters.memory import MemoryKeyStore
from broker.core.key import Key, KeySettings
from broker.core.policy import DAY_S, HOUR_S
from broker.core.sealed import SealedSecret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import KeyStore, StoredKey, StoredRevision
from broker.services.journal import Journal
from broker.services.reminding import Reminding, Stage
from broker.services.tally import Tally
from tests.fakes import START
from tests.unit.services.house import House
from tests.unit.services.lookout_given import QUIET, a_lookout, look_out, restarted, told
from tests.unit.services.status_given import a_key


def expiring(key_id: str, days: float) -> Key:
    """A key that expires so many days after the start."""
    return a_key(key_id, expires_at=at(days))


def at(days: float) -> datetime:
    return datetime.fromtimestamp(START, UTC) + timedelta(days=days)


async def reminders(house: House) -> list[tuple[str, str, float]]:
    """Which key was reminded of at which stage, how many days after the start."""
    events = await told(house, "key_expiring", "key_expired")
    days = [round((event.at - START) / DAY_S, 1) for event in events]
    stages = [event.attributes["stage"] for event in events]
    return list(zip([event.key_id for event in events], stages, days, strict=True))


async def days_pass(house: House, days: float) -> None:
    await look_out(house, days * DAY_S, step_s=HOUR_S)


async def test_each_stage_is_told_once() -> None:
    house = await a_lookout(expiring("k", 10), a_key("forever"))
    await days_pass(house, 20)
    assert await reminders(house) == [
        ("k", Stage.AHEAD, 3.0),
        ("k", Stage.DAY, 9.0),
        ("k", Stage.EXPIRED, 10.0),
    ]
    first, *_, last = await told(house, "key_expiring", "key_expired")
    assert first.kind == "key_expiring"
    assert first.message.startswith("k expires in 7 d, at 2025-06-25T")
    assert first.attributes["revision"] == "rev-k"
    assert last.kind == "key_expired"


async def test_a_key_that_is_seen_late_is_reminded_of_at_its_present_stage_only() -> None:
    house = await a_lookout(expiring("soon", 0.5), expiring("gone", -30))
    await look_out(house, 120)
    assert await reminders(house) == [("gone", Stage.EXPIRED, 0.0), ("soon", Stage.DAY, 0.0)]


async def test_a_restart_reminds_of_nothing_twice() -> None:
    before = await a_lookout(expiring("k", 5))
    await look_out(before, 120)
    house = await restarted(before)
    await look_out(house, 120)
    assert await reminders(house) == [("k", Stage.AHEAD, 0.0)]
    await days_pass(house, 4.5)
    assert [stage for _, stage, _ in await reminders(house)] == [Stage.AHEAD, Stage.DAY]


async def test_a_new_secret_or_a_new_date_is_reminded_of_anew() -> None:
    house = await a_lookout(expiring("k", 5))
    await look_out(house, 120)
    await house.has_keys(expiring("k", 6))
    await look_out(house, 120)
    assert len(await reminders(house)) == 2


async def test_the_days_ahead_are_a_setting() -> None:
    house = await a_lookout(expiring("k", 10), rules=replace(QUIET, reminder_days=0.0))
    await days_pass(house, 12)
    assert await reminders(house) == [("k", Stage.EXPIRED, 10.0)]


async def test_a_date_without_a_zone_is_in_utc() -> None:
    house = await a_lookout(a_key("k", expires_at=at(0.5).replace(tzinfo=None)))
    await look_out(house, 120)
    assert await reminders(house) == [("k", Stage.DAY, 0.0)]


# --- Tenants ----------------------------------------------------------------------------------


async def keep(store: KeyStore, key_id: str, tenant: str, days: float | None) -> None:
    """The database has a tenant's key."""
    revision = StoredRevision(f"r-{key_id}", SealedSecret("seal", b"wrapped", b"sealed"), START)
    expires_at = None if days is None else at(days)
    stored = StoredKey(
        key_id, tenant, "openai", KeySettings(expires_at=expires_at), (revision,), START, START
    )
    policy = TenantPolicy(tenant, "openai", PolicyMode.TENANT_ONLY)
    await store.create(stored, policy)


async def test_tenants_keys_are_reminded_of_wherever_they_are() -> None:
    house = await a_lookout()
    await keep(house.core.world.key_store, "t1", "acme", 3)
    await keep(house.core.world.key_store, "t2", "acme", None)
    await keep(house.core.world.key_store, "t3", "other", 0.5)
    await look_out(house, 120)
    assert sorted(await reminders(house)) == [("t1", Stage.AHEAD, 0.0), ("t3", Stage.DAY, 0.0)]
    (event,) = [e for e in await told(house, "key_expiring") if e.key_id == "t1"]
    assert event.attributes["owner"] == "acme"
    assert event.attributes["provenance"] == "TENANT"
    again = await restarted(house)
    await look_out(again, 120)
    assert len(await reminders(again)) == 2


async def test_all_pages_of_tenants_keys_are_looked_at_once_an_hour() -> None:
    house = await a_lookout()
    for number in range(1203):
        await keep(house.core.world.key_store, f"t{number:04}", f"tenant-{number}", 3)
    await look_out(house, 1)
    assert len(await reminders(house)) == 1203
    await keep(house.core.world.key_store, "late", "acme", 3)
    await look_out(house, 3500, step_s=100)
    assert len(await reminders(house)) == 1203
    await look_out(house, 200, step_s=100)
    assert len(await reminders(house)) == 1204


class FlickeringKeyStore(MemoryKeyStore):
    """A key store of which pages cannot be read while it `is_off`."""

    is_off = True

    async def page(
        self,
        *,
        after: tuple[str, str],
        limit: int,
        provider: str = "",
        tenant: str = "",
        expires_by: float | None = None,
    ) -> list[StoredKey]:
        if self.is_off:
            raise StoreUnavailableError("the store is switched off")
        return await super().page(
            after=after, limit=limit, provider=provider, tenant=tenant, expires_by=expires_by
        )


async def test_a_store_that_does_not_answer_is_asked_again_and_loses_no_reminder() -> None:
    house, store = await a_lookout(expiring("k", 5)), FlickeringKeyStore()
    await keep(store, "t", "acme", 3)
    world = house.core.world
    journal = Journal(world.history, house.meter, Tally(house.clock))
    reminding = Reminding(house.core.keyring, store, world.history, journal)
    await reminding.on_tick(house.clock.now())
    assert [key for key, *_ in await reminders(house)] == ["k"]
    store.is_off = False
    house.clock.advance(60)
    await reminding.on_tick(house.clock.now())
    assert [key for key, *_ in await reminders(house)] == ["k", "t"]
