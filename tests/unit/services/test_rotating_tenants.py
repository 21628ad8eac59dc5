"""Tenants' keys are rotated like system keys; what was learned is kept where they are."""

from dataclasses import replace

from broker.core.key import KeySettings
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import KeyStore, StoredKey, StoredRevision
from broker.services.draining import DRAIN_S
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import INCONCLUSIVE, REJECTED, House, a_house
from tests.unit.services.rotation_given import held, read_again, restarted, saved

TENANT = "acme"


async def sealed(house: House, name: str) -> StoredRevision:
    binding = Binding(TENANT, "openai", "t", name)
    secret = await house.core.world.sealer.seal(Secret(f"sk-{name}"), binding)
    return StoredRevision(name, secret, created_at=house.clock.now())


async def a_tenant_s_house() -> House:
    """A house with one tenant, whose only key has never been used."""
    house = await a_house()
    now = house.clock.now()
    first = await sealed(house, "a")
    key = StoredKey("t", TENANT, "openai", KeySettings(), (first,), now, now)
    policy = TenantPolicy(TENANT, "openai", PolicyMode.TENANT_ONLY)
    await house.core.world.key_store.create(key, policy)
    return house


async def rotate(house: House, name: str) -> None:
    """As an operator does it."""
    await house.core.world.key_store.add_revision("t", await sealed(house, name))
    await house.core.tenants.reload(TENANT)
    house.core.rotating.noticed("t")


async def served(house: House) -> str:
    return (await house.lease(tenant=TENANT)).claims.revision


async def succeeds(house: House) -> None:
    await house.report(await house.lease(tenant=TENANT), OK)
    await saved(house)
    await read_again(house)


async def stored(house: House) -> dict[str, bool]:
    """The revisions in the store, the newest first, and whether each is known to have worked."""
    await saved(house)
    key = await house.core.world.key_store.key("t")
    assert key is not None
    return {rev.revision: rev.authenticated_at is not None for rev in key.revisions}


async def test_a_first_success_is_remembered_in_the_store() -> None:
    house = await a_tenant_s_house()
    assert await stored(house) == {"a": False}
    await succeeds(house)
    assert await stored(house) == {"a": True}


async def test_a_new_secret_is_proved_first_and_then_remembered() -> None:
    house = await a_tenant_s_house()
    await succeeds(house)
    await rotate(house, "b")
    assert await served(house) == "a"
    await house.probe()
    assert await served(house) == "b"
    await read_again(house)
    assert await stored(house) == {"b": True, "a": True}
    await read_again(house, DRAIN_S)
    assert held(house, "t") == ["b"]
    await read_again(house)
    assert await stored(house) == {"b": True}


async def test_a_rejected_secret_stays_beside_the_one_in_use() -> None:
    house = await a_tenant_s_house()
    await succeeds(house)
    house.prober.will_find("t", REJECTED)
    await rotate(house, "b")
    await house.probe()
    assert await served(house) == "a"
    (event,) = await house.events("revision_rejected")
    assert event.message.endswith("rotate the key to the right one")
    assert await stored(house) == {"b": False, "a": True}


async def test_a_secret_that_was_replaced_before_it_was_proved_is_dropped() -> None:
    house = await a_tenant_s_house()
    await succeeds(house)
    await rotate(house, "b")
    await rotate(house, "c")
    assert held(house, "t") == ["c", "a"]
    await read_again(house)
    assert await stored(house) == {"c": False, "a": True}


async def test_a_dead_key_serves_again_when_its_new_secret_is_proved() -> None:
    house = await a_tenant_s_house()
    await house.report(await house.lease(tenant=TENANT), BAD_KEY)
    house.prober.will_find("t", REJECTED)
    await rotate(house, "b")
    await house.probe()
    assert await served(house) == "b"
    await read_again(house)
    assert await stored(house) == {"b": True}


async def test_a_rotation_that_an_eviction_or_a_restart_cut_off_goes_on_at_the_next_use() -> None:
    house = await a_tenant_s_house()
    await succeeds(house)
    house.prober.will_find("t", INCONCLUSIVE)
    await rotate(house, "b")
    await house.probe()
    again = await restarted(house)
    assert held(again, "t") == []
    await again.probe()
    assert await served(again) == "a"
    await read_again(again)
    await again.probe()
    assert await served(again) == "b"
    await read_again(again)
    assert await stored(again) == {"b": True, "a": True}


async def test_a_secret_that_drained_while_its_tenant_was_away_is_dropped_at_the_next_use() -> None:
    house = await a_tenant_s_house()
    await succeeds(house)
    await rotate(house, "b")
    await house.probe()
    await read_again(house)
    again = await restarted(house)
    again.clock.advance(DRAIN_S)
    assert await served(again) == "b"
    await read_again(again)
    await read_again(again)
    assert await stored(again) == {"b": True}


async def test_a_key_that_was_rotated_back_must_prove_that_secret_again() -> None:
    house = await a_tenant_s_house()
    await succeeds(house)
    await rotate(house, "b")
    await house.probe()
    house.clock.advance(61)  # what the probe found does not count any more
    house.prober.will_find("t", REJECTED)
    await rotate(house, "a")
    assert await served(house) == "b"
    await house.probe()
    assert await served(house) == "b"


class DownStore:
    """A store that fails while it `is_down`."""

    def __init__(self, inner: KeyStore) -> None:
        self._inner = inner
        self.is_down = False

    def __getattr__(self, name: str) -> object:
        if self.is_down:
            raise StoreUnavailableError("locked")
        return getattr(self._inner, name)


async def test_what_was_learned_while_the_store_was_down_is_written_later() -> None:
    house = await a_tenant_s_house()
    store = DownStore(house.core.world.key_store)
    core = replace(house.core, world=replace(house.core.world, key_store=store))  # type: ignore[arg-type] # a stand-in for whatever is asked of it
    again = await restarted(replace(house, core=core))
    lease = await again.lease(tenant=TENANT)
    store.is_down = True
    await again.report(lease, OK)
    await read_again(again)
    store.is_down = False
    assert await stored(again) == {"a": False}
    await read_again(again)
    assert await stored(again) == {"a": True}
