"""Exports: every key once, sealed as it is kept."""

from contextlib import aclosing

import pytest

from broker.ports.errors import StoreUnavailableError
from broker.services import exporting
from broker.services.errors import ProviderUnknownError
from tests.unit.services.importing_given import ids
from tests.unit.services.status_given import Desk, a_desk, a_key
from tests.unit.services.tenants_given import FakeKeyStore
from tests.unit.services.test_keeping import events


async def export(desk: Desk, provider: str = "", tenant: str = "") -> list[str]:
    keys = desk.servicers.admin.exporting.keys("ops", provider, tenant)
    return ids([key async for key in keys])


@pytest.mark.parametrize("step", [1, 2, 3, 4, 200])
async def test_every_key_of_a_tenant_is_given_once_in_order(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(exporting, "STEP", step)
    desk = await a_desk(a_key("env/s1"))
    await desk.keep("t3")
    await desk.keep("t1", tenant="bravo")
    await desk.keep("t2", provider="groq")
    await desk.keep("t4")
    assert await export(desk) == ["t2", "t1", "t3", "t4"]
    assert await export(desk, provider="openai", tenant="acme") == ["t3", "t4"]
    assert await export(desk, tenant="nobody") == []


async def test_keys_that_are_deleted_and_made_meanwhile_disturb_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporting, "STEP", 2)
    desk = await a_desk()
    for number in range(1, 6):
        await desk.keep(f"t{number}")
    given = []
    async with aclosing(desk.servicers.admin.exporting.keys("ops", "", "")) as keys:
        async for key in keys:
            given.append(key.key_id)
            if key.key_id == "t2":
                await desk.keeping.delete("ops", "t2")
                await desk.keeping.delete("ops", "t1")
                await desk.keep("t0")
    assert given == ["t1", "t2", "t3", "t4", "t5"]


async def test_an_export_is_told_with_who_had_how_much_also_where_it_broke_off() -> None:
    store = FakeKeyStore()
    desk = await a_desk(store=store)
    await desk.keep("t1")
    await export(desk, tenant="acme")
    store.is_down = True
    with pytest.raises(StoreUnavailableError):
        await export(desk)
    whole, broken = await events(desk, "keys_exported")
    assert (whole.principal, whole.attributes) == ("ops", {"keys": "1", "tenant": "acme"})
    assert broken.attributes == {"keys": "0", "tenant": ""}


async def test_a_provider_that_is_not_configured_is_told() -> None:
    desk = await a_desk()
    with pytest.raises(ProviderUnknownError):
        await export(desk, provider="opnai")
    assert await events(desk, "keys_exported") == []
