"""Keys that operators give, where the store, the operator or the sealing key fails meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from broker.adapters.seal import ClosedSealer
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.words import Family
from broker.ports.errors import SealClosedError, StoreUnavailableError
from broker.services.acquisition import AcquireRequest
from broker.services.errors import ChangeUncertainError, KeyUnknownError
from broker.services.inventory import KeyFilter
from broker.services.paging import PageRequest
from tests.fakes import settle
from tests.unit.services.status_given import GPT, Desk, a_desk, a_key, whole

SYSTEM = a_key("env/s1")


async def kinds(desk: Desk, *wanted: str) -> list[str]:
    """What was told, oldest first."""
    page, _ = await desk.core.world.history.page(before=None, limit=100, kinds=frozenset(wanted))
    return [event.kind for event in reversed(page)]


async def test_a_store_that_takes_nothing_changes_nothing() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    desk.store.takes_nothing = True
    with pytest.raises(StoreUnavailableError):
        await desk.keep("t2")
    with pytest.raises(StoreUnavailableError):
        await desk.keeping.delete("ops", "t1")
    with pytest.raises(StoreUnavailableError):
        await desk.allow(PolicyMode.SYSTEM_ONLY)
    assert await desk.leased_for() == "t1"
    assert await kinds(desk, "key_created", "key_deleted") == ["key_created"]


async def test_a_change_whose_answer_was_lost_is_looked_up() -> None:
    desk = await a_desk(SYSTEM)
    desk.store.loses_answers = True
    await desk.keep("t1")
    assert await desk.leased_for() == "t1"
    await desk.keeping.rotate("ops", "t1", Secret("sk-new"))
    await desk.allow(PolicyMode.TENANT_THEN_SYSTEM)
    await desk.keeping.update("ops", "t1", lambda old: replace(old, weight=2.0), "weight")
    await desk.keeping.delete("ops", "t1")
    assert await desk.leased_for() == "env/s1"


async def delete_and_lose_the_store(desk: Desk, key_id: str) -> ChangeUncertainError:
    """Delete a key so that nobody is told whether it was done."""
    desk.store.loses_answers = desk.store.dies_of_changes = True
    with pytest.raises(ChangeUncertainError) as fault:
        await desk.keeping.delete("ops", key_id)
    desk.store.loses_answers = False
    return fault.value


async def test_a_change_that_cannot_be_looked_up_is_said_to_be_uncertain() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    fault = await delete_and_lose_the_store(desk, "t1")
    assert "whether the key was deleted is not known" in fault.message
    assert await desk.leased_for() == "UNAVAILABLE"
    desk.store.is_down = False
    assert await desk.leased_for() == "NO_KEYS"


async def test_a_new_key_begins_without_the_health_of_one_that_had_its_id() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    key = (await desk.granted(AcquireRequest(GPT, "acme"))).key
    await desk.fail(whole(key), Family.CREDENTIAL)
    await delete_and_lose_the_store(desk, "t1")
    desk.store.is_down = False
    await desk.keep("t1")
    assert await desk.leased_for() == "t1"


async def test_a_change_that_comes_after_its_answer_is_in_force_all_the_same() -> None:
    """A commit may still be under way when the store is given up."""
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    desk.store.takes_nothing = True
    with pytest.raises(StoreUnavailableError):
        await desk.keeping.delete("ops", "t1")
    desk.store.takes_nothing = False
    assert await desk.leased_for() == "t1"
    await desk.store.delete("t1")
    assert await desk.leased_for() == "NO_KEYS"


async def test_a_key_is_gone_at_once_also_where_its_tenant_cannot_be_read_again() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    real = desk.store.tenant

    async def fails(tenant: str) -> object:
        raise StoreUnavailableError(tenant)

    desk.store.tenant = fails  # type: ignore[method-assign,assignment]
    await desk.keeping.delete("ops", "t1")
    assert desk.core.keyring.find("t1") is None
    assert await desk.leased_for() == "UNAVAILABLE"
    desk.store.tenant = real  # type: ignore[method-assign]
    assert await desk.leased_for() == "NO_KEYS"


async def test_what_has_begun_is_finished_when_the_operator_goes_away() -> None:
    desk = await a_desk()
    desk.store.gate = asyncio.Event()
    creating = asyncio.ensure_future(desk.keep("t1"))
    await settle()
    creating.cancel()
    await settle()
    desk.store.gate.set()
    desk.store.gate = None
    await settle()
    assert await kinds(desk) == ["source_read", "key_created"]
    assert await desk.leased_for() == "t1"


async def test_a_key_changes_one_change_at_a_time() -> None:
    desk = await a_desk()
    await desk.keep("t1")
    await asyncio.gather(
        *(
            desk.keeping.update(
                "ops", "t1", lambda old: replace(old, priority=old.priority + 1), ""
            )
            for _ in range(20)
        )
    )
    stored = await desk.store.key("t1")
    assert stored is not None
    assert stored.settings.priority == 20


async def test_one_of_two_creations_of_an_id_is_told_that_the_other_won() -> None:
    desk = await a_desk()
    made = await asyncio.gather(
        *(desk.keep("t1", secret=f"sk-{n}") for n in range(3)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in made) == [
        "KeyExistsError",
        "KeyExistsError",
        "StoredKey",
    ]


async def test_without_a_sealing_key_no_secret_is_taken_and_the_rest_goes_on() -> None:
    desk = await a_desk(SYSTEM, sealer=ClosedSealer("seal.key is missing"))
    with pytest.raises(SealClosedError):
        await desk.keep("t1")
    assert await desk.leased_for() == "env/s1"
    assert desk.status.now().seal_fault == "seal.key is missing"


async def test_a_key_of_a_provider_that_is_gone_can_be_seen_and_deleted() -> None:
    desk = await a_desk(SYSTEM)
    kept = await desk.keep("t1")
    (policy,) = await desk.policies.of("acme", "openai")
    gone = replace(kept, key_id="t2", provider="gone")
    await desk.store.create(gone, replace(policy, provider="gone"))
    await desk.core.tenants.reload("acme")
    assert await desk.leased_for() == "t1"
    page = await desk.inventory.keys(KeyFilter(tenant="acme"), PageRequest())
    assert [view.key.key_id for view in page.items] == ["t2", "t1"]
    await desk.keeping.delete("ops", "t2")
    with pytest.raises(KeyUnknownError):
        await desk.inventory.key("t2")
