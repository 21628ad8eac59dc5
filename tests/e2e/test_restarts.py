"""kill -9, and start again on the same files: what was acknowledged is known again."""

import asyncio
import time
from dataclasses import dataclass

import grpc

from keybroker.v1 import (
    admin_pb2,
    circuit_pb2,
    denial_pb2,
    lease_pb2,
    policy_pb2,
    status_pb2,
    verdict_pb2,
)
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, fault_of

__all__ = ["house"]

Reason = denial_pb2.DenialReason
UNTOUCHED_BY_PROBES = (circuit_pb2.FAMILY_QUOTA, circuit_pb2.FAMILY_LIMIT)

Standing = tuple[bytes, int, int, bytes, bytes]

STATES = {
    "anthropic/1": "exhausted",
    "deepseek/1": "healthy",
    "gemini/1": "healthy",
    "groq/1": "healthy",  # it is limited on one model: that shows in its circuits
    "mistral/1": "healthy",
    "openai/1": "quarantined",
    "openai/2": "disabled",
    "acme-1": "healthy",
}

DENIED = {
    "openai": Reason.DENIAL_REASON_QUARANTINED,
    "anthropic": Reason.DENIAL_REASON_EXHAUSTED,
    "groq": Reason.DENIAL_REASON_COOLING_DOWN,
    "mistral": Reason.DENIAL_REASON_ALL_DISABLED,
}


def standings(status: status_pb2.BrokerStatus) -> set[Standing]:
    """The circuits that no probe touches, with their times to the nanosecond."""
    return {
        (
            circuit.scope.SerializeToString(deterministic=True),
            circuit.state,
            circuit.level,
            circuit.since.SerializeToString(),
            circuit.until.SerializeToString(),
        )
        for circuit in status.circuits
        if circuit.family in UNTOUCHED_BY_PROBES
    }


def credential_circuits(status: status_pb2.BrokerStatus) -> list[circuit_pb2.Circuit]:
    return [c for c in status.circuits if c.family == circuit_pb2.FAMILY_CREDENTIAL]


@dataclass
class Left:
    """What a broker said before it was killed, and what was in its callers' hands."""

    status: status_pb2.BrokerStatus
    event_ids: list[str]
    kept: lease_pb2.Lease
    revoked: lease_pb2.Lease
    of_tenant: lease_pb2.Lease


async def make_trouble(house: House, broker: Broker) -> Left:
    """One of every kind of trouble that has to be remembered."""
    gateway, admin = broker.gateway, broker.gateway.admin
    disable = admin_pb2.DisableKeyRequest(key_id="openai/2", reason="leaked")
    await admin.DisableKey(disable)
    house.sim.revoke("openai-1")
    house.sim.empty("anthropic-1")
    house.sim.limit_for("groq-1", 300.0)
    for provider in ("openai", "anthropic", "groq"):
        await gateway.use(await broker.lease(provider=provider))
    await admin.DisableUpstream(admin_pb2.DisableUpstreamRequest(provider="mistral", reason="dear"))
    revoked = await broker.lease(provider="gemini")
    await admin.RevokeLeases(admin_pb2.RevokeLeasesRequest(key_id="gemini/1", reason="stolen"))
    await broker.create("acme", house.issue("acme"), "acme-1")
    await broker.set_policy("bravo", policy_pb2.POLICY_MODE_TENANT_ONLY)
    kept, of_tenant = await broker.lease(provider="deepseek"), await broker.lease("acme")
    events = await broker.events()
    return Left(await broker.status(), [e.event_id for e in events], kept, revoked, of_tenant)


def set_up(house: House) -> None:
    """Two keys of one provider, one of each other."""
    numbered = [("openai", 1), ("openai", 2)]
    numbered += [(name, 1) for name in ("anthropic", "gemini", "groq", "mistral", "deepseek")]
    house.write_env(
        **{
            f"{name.upper()}_API_KEY_{number}": house.issue(f"{name}-{number}", name)
            for name, number in numbered
        }
    )


async def test_what_was_known_before_kill_9_is_known_after_it(house: House) -> None:
    """And the probes of the next start resurrect nothing."""
    set_up(house)
    broker = await house.start()
    await broker.says("boot_probe_done")
    left = await make_trouble(house, broker)
    await broker.kill()
    again = await house.start(BOOT_PROBE="off")
    assert standings(left.status) == standings(await again.status()) != set()
    assert credential_circuits(left.status) == credential_circuits(await again.status()) != []
    assert await again.states() == STATES
    told = [event.event_id for event in await again.events()]
    assert told[: len(left.event_ids)] == left.event_ids
    key = await again.key("openai/2")
    assert (key.disabled.by, key.disabled.reason) == ("local", "leaked")
    [upstream] = (await again.status()).disabled_upstreams
    assert (upstream.provider, upstream.disabled.reason) == ("mistral", "dear")
    await tenants_are_as_they_were(again)
    await leases_of_before_are_known(again, left)
    await again.kill()
    await boot_probing_resurrects_nothing(house, left)


async def leases_of_before_are_known(broker: Broker, left: Left) -> None:
    for lease in (left.kept, left.of_tenant):
        renewed = await broker.renew(lease)
        assert renewed.lease_state == lease_pb2.LEASE_STATE_LIVE
        answer = await broker.gateway.use(lease)
        assert answer.verdict.kind == verdict_pb2.VERDICT_KIND_OK
    fault = await fault_of(broker.renew(left.revoked))
    assert fault[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "KEY_UNUSABLE")
    assert fault.cause == "revoked"
    await broker.lease(provider="gemini")


async def tenants_are_as_they_were(broker: Broker) -> None:
    assert (await broker.lease("acme")).key_id == "acme-1"
    policy = await broker.policy("acme")
    assert (policy.mode, policy.set_by) == (policy_pb2.POLICY_MODE_TENANT_ONLY, "local")
    assert (await broker.denied("bravo")).reason == Reason.DENIAL_REASON_NO_KEYS


async def boot_probing_resurrects_nothing(house: House, left: Left) -> None:
    """An exhausted key authenticates, and so does one that is limited: that is no news."""
    house.sim.forget_calls()
    broker = await house.start()
    await broker.says("boot_probe_done")
    assert [call.status for call in house.sim.calls_of("anthropic-1")] == [200]
    assert house.sim.calls_of("openai-1") == []  # what a probe found a moment ago still holds
    assert house.sim.calls_of("openai-2") == []
    await asyncio.sleep(1.2)  # a second round of what the broker does by itself
    assert await broker.states() == STATES
    assert standings(left.status) == standings(await broker.status())
    denials = {name: await broker.denied(provider=name) for name in DENIED}
    assert {name: denial.reason for name, denial in denials.items()} == DENIED
    assert 200 < denials["groq"].retry_delay.seconds <= 330
    assert 0 < denials["anthropic"].retry_delay.seconds <= 930
    assert await broker.stop() < 4.0


def fill(house: House, rows: int) -> None:
    """Many tenants with a key each, a long history, a long log."""
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    for table, columns in (
        ("keys", {"key_id": "'k-' || i", "tenant": "'t-' || i"}),
        ("key_revisions", {"key_id": "'k-' || i", "tenant": "'t-' || i"}),
        ("tenant_policies", {"tenant": "'t-' || i"}),
        ("events", {"number": "i + 1000"}),
        ("facts", {"position": "i + 1000"}),
    ):
        names = [name for _, name, *_ in house.sql(f"PRAGMA table_info({table})")]
        values = ", ".join(columns.get(name, name) for name in names)
        house.sql(
            f"{count} INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 - our own names
            f"SELECT {values} FROM (SELECT * FROM {table} LIMIT 1), n",
            rows,
        )


async def test_a_start_takes_no_longer_for_what_is_kept(house: House) -> None:
    """20,000 tenants, events and facts are nothing to wait for."""
    house.write_env(OPENAI_API_KEY=house.issue("dead"))
    began = time.monotonic()
    broker = await house.start(BOOT_PROBE="off")
    empty_s = time.monotonic() - began
    house.sim.revoke("dead")
    await broker.gateway.use(await broker.lease())
    await broker.create("acme", house.issue("acme"), "acme-1")
    await broker.kill()
    fill(house, 20_000)
    began = time.monotonic()
    again = await house.start(BOOT_PROBE="off")
    filled_s = time.monotonic() - began
    assert filled_s < empty_s + 2.0
    assert (await again.lease("acme")).key_id == "acme-1"
    assert (await again.denied()).reason == Reason.DENIAL_REASON_QUARANTINED
    assert await again.stop() < 4.0
