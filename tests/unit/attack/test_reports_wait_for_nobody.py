"""What a report teaches must not wait for a database, nor go with a caller who cannot wait."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.words import Family
from broker.services import outcomes
from tests.unit.services.answers import LIMITED
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key, on_model
from tests.unit.services.tenants_given import FakeKeyStore


async def test_a_report_waited_as_long_as_its_caller_for_a_database_that_hung(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = a_key("k1")
    house: House = await a_house(key)
    grant = await house.lease(tenant="acme")
    store = FakeKeyStore(house.core.world.key_store)
    store.gate = asyncio.Event()
    monkeypatch.setattr(house.core.tenants, "_store", store)
    house.core.tenants.doubt("acme")
    monkeypatch.setattr(outcomes, "TENANT_WAIT_S", 0.01)
    async with asyncio.timeout(5.0):
        await house.report(grant, replace(LIMITED, outcome_id="o1"))
    assert house.circuit(on_model(key), Family.LIMIT) is not None
    store.gate.set()
