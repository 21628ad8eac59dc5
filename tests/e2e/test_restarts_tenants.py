"""A tenant's key is its own, and system keys are nobody's by accident: not for a moment."""

import asyncio

from keybroker.v1 import denial_pb2, key_pb2, lease_pb2, policy_pb2, verdict_pb2
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, until

__all__ = ["house"]

Reason = denial_pb2.DenialReason
TENANT, SYSTEM = key_pb2.PROVENANCE_TENANT, key_pb2.PROVENANCE_SYSTEM
THEN_SYSTEM = policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM


async def test_a_tenant_with_a_key_of_its_own_feels_nothing_of_system_keys_that_die(
    house: House,
) -> None:
    house.write_env(OPENAI_API_KEY_1=house.issue("s1"), OPENAI_API_KEY_2=house.issue("s2"))
    broker = await house.start()
    await broker.create("acme", house.issue("acme"), "acme-1")
    for name in ("s1", "s2"):
        house.sim.revoke(name)
    asked = 0
    while (answer := await broker.gateway.acquire("openai", "gpt-4o")).HasField("lease"):
        await broker.gateway.use(answer.lease)
        asked += 1
        assert asked <= 2
    assert answer.denial.reason == Reason.DENIAL_REASON_QUARANTINED
    for _ in range(20):
        lease = await broker.lease("acme")
        assert (lease.key_id, lease.provenance) == ("acme-1", TENANT)
        judged = await broker.gateway.use(lease)
        assert judged.verdict.kind == verdict_pb2.VERDICT_KIND_OK
    assert "acme-1" not in str((await broker.status()).incidents)


async def test_a_tenant_gets_no_system_key_unless_its_policy_says_so(house: House) -> None:
    """Not while its key is rejected, not right after that is deleted, not after a restart."""
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    broker = await house.start()
    await broker.create("acme", house.issue("acme"), "acme-1")
    await broker.create("bravo", house.issue("bravo"), "bravo-1")
    lease = await broker.lease("bravo")
    house.sim.revoke("bravo")
    await broker.gateway.use(lease)
    denial = await broker.denied("bravo")
    assert denial.reason == Reason.DENIAL_REASON_QUARANTINED
    assert "of the tenant's own keys: its policy TENANT_ONLY allows no others" in denial.message
    granted = await deleted_under_load(broker)
    assert {lease.provenance for lease in granted} == {TENANT}
    denial = await broker.denied("acme")
    assert denial.reason == Reason.DENIAL_REASON_NO_KEYS
    assert denial.action == denial_pb2.DENIAL_ACTION_FIX_CONFIGURATION
    await broker.kill()
    again = await house.start(BOOT_PROBE="off")
    assert (await again.denied("acme")).reason == Reason.DENIAL_REASON_NO_KEYS
    assert (await again.denied("bravo")).reason == Reason.DENIAL_REASON_QUARANTINED
    assert (await again.lease("charlie")).provenance == SYSTEM
    await again.set_policy("acme", THEN_SYSTEM)
    await again.set_policy("bravo", THEN_SYSTEM)
    await again.kill()
    third = await house.start(BOOT_PROBE="off")
    for tenant in ("acme", "bravo"):
        assert (await third.lease(tenant)).provenance == SYSTEM


async def deleted_under_load(broker: Broker) -> list[lease_pb2.Lease]:
    """What a tenant is granted while its only key is deleted, until well after."""
    granted: list[lease_pb2.Lease] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            answer = await broker.gateway.acquire("openai", "gpt-4o", tenant="acme")
            if answer.HasField("lease"):
                granted.append(answer.lease)

    askers = [asyncio.create_task(ask()) for _ in range(4)]

    async def is_leased() -> bool:
        return len(granted) > 20

    await until(is_leased)
    await broker.delete("acme-1")
    count = len(granted)
    await asyncio.sleep(0.3)
    is_over.set()
    await asyncio.gather(*askers)
    assert len(granted) <= count + len(askers)  # their answers may have been on the way
    return granted
