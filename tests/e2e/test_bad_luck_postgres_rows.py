"""Rows that a hand in PostgreSQL moved or flipped, and a sealing key that is not the right one."""

import re
from functools import partial
from secrets import token_hex

import grpc
import httpx

from keybroker.v1 import denial_pb2, key_pb2, policy_pb2, status_pb2
from tests.e2e.command import environment, keybroker
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, fault_of, until
from tests.e2e.shared_house import SharedHouse, set_up, shared

__all__ = ["house"]

UNUSABLE = denial_pb2.DENIAL_REASON_TENANT_KEY_UNUSABLE
FIX_KEYS = denial_pb2.DENIAL_ACTION_FIX_KEYS
OPEN, SEALED = status_pb2.SEAL_STATE_OPEN, status_pb2.SEAL_STATE_SEALED
SYSTEM = key_pb2.PROVENANCE_SYSTEM
WITHIN_S = 1.0

FLIP = """
UPDATE key_revisions SET ciphertext = set_byte(ciphertext, 20, get_byte(ciphertext, 20) # 1)
WHERE key_id = %s
"""
COPY = """
UPDATE key_revisions AS to_ SET (sealed_by, wrapped_key, ciphertext)
= (SELECT sealed_by, wrapped_key, ciphertext FROM key_revisions WHERE key_id = %s)
WHERE key_id = %s
"""
GIVE_KEY = "UPDATE keys SET tenant = %s WHERE key_id = %s"
GIVE_REVISIONS = "UPDATE key_revisions SET tenant = %s WHERE key_id = %s"

SPOILT = {"acme": "acme-1", "bravo": "bravo-1", "mallory": "other-1"}
"""Which tenant then has which key that does not open."""


async def spoil(world: SharedHouse) -> None:
    """One row gets another tenant's ciphertext, one a flipped bit, one another owner."""
    await world.sql(COPY, "charlie-1", "acme-1")
    await world.sql(FLIP, "bravo-1")
    await world.sql(GIVE_REVISIONS, "mallory", "other-1")
    await world.sql(GIVE_KEY, "mallory", "other-1")


async def is_refused(broker: Broker, tenant: str) -> bool:
    answer = await broker.gateway.acquire("openai", "gpt-4o", tenant=tenant)
    return answer.denial.reason == UNUSABLE


async def test_a_row_that_was_moved_or_flipped_in_postgresql_is_refused_named_and_harms_no_other(
    house: House,
) -> None:
    """At the broker that had it at hand within a second, and at one that starts on it."""
    async with shared(house) as world:
        running = await set_up(world)
        await running.set_policy("mallory", policy_pb2.POLICY_MODE_TENANT_ONLY)
        house.sim.forget_calls()
        await spoil(world)
        for tenant in SPOILT:
            await until(partial(is_refused, running, tenant), WITHIN_S + 1.0)
        started = await world.start("two")
        for broker in (running, started):
            await they_are_refused(broker)
        assert sorted(await names_told(running)) == sorted(SPOILT.values())
        assert {call.key for call in house.sim.calls} <= {"s1", "s2", "g1"}  # no wrong key's
        await running.rotate("bravo-1", house.issue("bravo-mended"))

        async def is_mended() -> bool:
            return not await is_refused(started, "bravo")

        await until(is_mended, WITHIN_S + 1.0)
        lease = await started.lease("bravo")
        assert lease.api_key.secret.plaintext.endswith("bravo-mended")


async def they_are_refused(broker: Broker) -> None:
    """The spoilt ones, by name, and nobody else."""
    for tenant in SPOILT:
        denial = await broker.denied(tenant)
        assert (denial.reason, denial.action) == (UNUSABLE, FIX_KEYS), (tenant, denial)
        assert "replace it" in denial.message
    for tenant in ("charlie", "golf", ""):
        lease = await broker.lease(tenant)
        assert lease.provenance == SYSTEM or lease.key_id == f"{tenant}-1"
    states = await broker.states()
    unreadable = {key_id for key_id, state in states.items() if state == "unreadable"}
    assert unreadable == set(SPOILT.values())


async def names_told(broker: Broker) -> set[str]:
    events = [event for event in await broker.events() if event.kind == "key_unreadable"]
    assert all("rotate or delete the key" in event.message for event in events)
    assert len({(e.key_id, e.attributes["tenant"]) for e in events}) == len(SPOILT)
    return {event.key_id for event in events}


async def test_with_another_sealing_key_a_broker_is_up_says_why_and_heals_without_a_restart(
    house: House,
) -> None:
    async with shared(house) as world:
        first = await set_up(world)
        wrong = house.folder / "wrong-seal.key"
        wrong.write_text(f"keybroker-seal-1 {token_hex(32)}\n")
        wrong.chmod(0o600)
        broker = await world.start("two", SEAL_KEY_FILE=str(wrong), HTTP_LISTEN="127.0.0.1:0")
        await it_says_why(house, broker)
        assert (await first.lease("acme")).key_id == "acme-1"
        await first.rotate("acme-1", house.issue("acme-new"))
        draft = house.folder / "draft"
        draft.write_bytes((house.folder / "shared-seal.key").read_bytes())
        draft.chmod(0o600)
        draft.replace(wrong)

        async def is_well() -> bool:
            return await broker.is_ready() and not (await broker.status()).seal.fault

        await until(is_well, within_s=3.0)

        async def leases_the_new_one() -> bool:
            lease = await broker.lease("acme")
            return lease.api_key.secret.plaintext.endswith("acme-new")

        await until(leases_the_new_one)
        assert (await httpx_get(broker, "/readyz")).status_code == 200


async def it_says_why(house: House, broker: Broker) -> None:
    """To load balancers, programs and people; system keys are served meanwhile."""
    status = await broker.status()
    assert status.seal.state == SEALED
    assert re.search("holds key [0-9a-f]{16}, but key [0-9a-f]{16} sealed", status.seal.fault)
    assert not await broker.is_ready()
    assert (await httpx_get(broker, "/livez")).status_code == 200
    ready = await httpx_get(broker, "/readyz")
    assert ready.status_code == 503
    assert "tenants' keys cannot be opened" in ready.text
    asked = await keybroker("status", cwd=house.folder, env=environment(ADDRESS=broker.address))
    assert re.search(r"secrets +sealed: ", asked.out), asked.out
    asked = await keybroker(
        "seal", "status", cwd=house.folder, env=environment(ADDRESS=broker.address)
    )
    assert "sealed what is kept" in asked.out, asked
    for tenant in ("", "golf", "unheard-of"):
        assert (await broker.lease(tenant)).provenance == SYSTEM
    assert (await broker.denied("acme")).reason == UNUSABLE
    secret = house.issue("sealed-new")
    fault = await fault_of(broker.rotate("acme-1", secret))
    assert fault[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "SEALED")


async def httpx_get(broker: Broker, path: str) -> httpx.Response:
    return await broker.gateway.http.get(f"{broker.http_url}{path}")
