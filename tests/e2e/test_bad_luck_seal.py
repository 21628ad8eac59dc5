"""Key files that are gone, wrong or open to others, and rows that somebody moved or flipped."""

import asyncio
import re
from pathlib import Path
from secrets import token_hex

import grpc

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, denial_pb2, key_pb2, policy_pb2, status_pb2
from tests.e2e.command import environment, keybroker
from tests.e2e.processes import TENANTS, House, copied, house
from tests.e2e.running import Broker, fault_of, until

__all__ = ["house"]

UNUSABLE = denial_pb2.DENIAL_REASON_TENANT_KEY_UNUSABLE
NO_KEYS = denial_pb2.DENIAL_REASON_NO_KEYS
FIX_KEYS = denial_pb2.DENIAL_ACTION_FIX_KEYS
OPEN, SEALED = status_pb2.SEAL_STATE_OPEN, status_pb2.SEAL_STATE_SEALED
SYSTEM = key_pb2.PROVENANCE_SYSTEM


def spoil_seal_keys(good: Path) -> dict[Path, str]:
    """What may be wrong with a seal.key, by copies of the house's database; and what is said."""
    missing, wrong, shared, cut = (
        copied(good, name) for name in ("missing", "wrong", "shared", "cut")
    )
    seal = {path: path.with_name("seal.key") for path in (missing, wrong, shared, cut)}
    seal[missing].unlink()
    seal[wrong].write_text(f"keybroker-seal-1 {token_hex(32)}\n")
    seal[shared].chmod(0o640)
    seal[cut].write_bytes(seal[cut].read_bytes()[:40])
    return {
        missing: r"seal\.key is missing, and key [0-9a-f]{16} sealed what is kept: put the file"
        r" back from a backup; no restart is needed",
        wrong: r"seal\.key holds key [0-9a-f]{16}, but key [0-9a-f]{16} sealed what is kept: put"
        r" the right file back from a backup; no restart is needed",
        shared: r"seal\.key is open to other users \(mode 0640\): run chmod 600 .*seal\.key",
        cut: r"seal\.key is damaged: put it back from a backup",
    }


async def is_sealed(house: House, broker: Broker, path: Path, why: str) -> None:
    """System keys are served; what needs the sealing key says what to do."""
    status = await broker.status()
    assert status.seal.state == SEALED
    assert re.search(why, status.seal.fault), status.seal.fault
    [said] = broker.said("sealed")
    assert said["detail"] == status.seal.fault
    assert status.not_ready == ["tenants' keys cannot be opened: 'keybroker seal status' tells why"]
    assert await broker.is_ready() is False
    assert (await broker.lease()).provenance == SYSTEM
    denial = await broker.denied("acme")
    assert (denial.reason, denial.action) == (UNUSABLE, FIX_KEYS)
    secret = house.issue(f"{path.parent.name}-new")
    for call in (broker.create("golf", secret, "golf-1"), broker.rotate("acme-1", secret)):
        fault = await fault_of(call)
        assert fault[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "SEALED")
        assert fault.cause == status.seal.fault
    assert (await broker.states())["acme-1"] == "unreadable"
    assert not path.with_name("seal.key").exists() or path.parent.name != "missing"


async def test_without_the_right_sealing_key_system_keys_are_served_and_it_says_what_to_do(
    house: House,
) -> None:
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    await house.keep_tenants()
    spoilt = spoil_seal_keys(house.database)
    brokers = await asyncio.gather(*(house.start(DATABASE=f"sqlite:///{path}") for path in spoilt))
    for broker, (path, why) in zip(brokers, spoilt.items(), strict=True):
        await is_sealed(house, broker, path, why)
    missing, path = brokers[0], next(iter(spoilt))
    asked = await keybroker("status", cwd=house.folder, env=environment(ADDRESS=missing.address))
    assert asked.code == Exit.OK
    assert re.search(r"secrets +sealed: .*seal\.key is missing, and key", asked.out), asked.out
    for broker, path in zip(brokers, spoilt, strict=True):
        await heals_without_a_restart(house, broker, path.with_name("seal.key"))


async def heals_without_a_restart(house: House, broker: Broker, seal_key: Path) -> None:
    """The right file is put back, and within two seconds all is as if it had been there."""
    put_back(house, seal_key)

    async def is_open() -> bool:
        return (await broker.status()).seal.state == OPEN

    await until(is_open, within_s=2.0)
    assert not (await broker.status()).not_ready
    assert (await broker.lease("acme")).key_id == "acme-1"
    assert (await broker.states())["acme-1"] == "healthy"

    async def is_ready() -> bool:
        return await broker.is_ready()

    await until(is_ready, within_s=2.0)


def put_back(house: House, seal_key: Path) -> None:
    """By a rename, as a careful person does."""
    draft = seal_key.with_name("draft")
    draft.write_bytes(house.beside("seal.key").read_bytes())
    draft.chmod(0o600)
    draft.replace(seal_key)


async def test_garbage_over_the_key_file_of_a_running_broker_costs_nothing_and_is_told(
    house: House,
) -> None:
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    await house.keep_tenants()
    broker = await house.start()
    good = house.beside("seal.key").read_bytes()
    house.beside("seal.key").write_bytes(b"\x00garbage\n" * 100)
    await broker.says("sealing_key_faulted")
    assert not (await broker.status()).not_ready
    assert (await broker.lease("acme")).key_id == "acme-1"
    await broker.rotate("acme-1", house.issue("acme-new"))
    assert (await broker.lease("bravo")).key_id == "bravo-1"
    seal = await broker.gateway.admin.GetSeal(admin_pb2.GetSealRequest())
    assert seal.seal.state == OPEN
    assert "seal.key is damaged" in seal.seal.fault
    house.beside("seal.key").write_bytes(good)
    await broker.says("sealing_key_mended", within_s=6.0)


async def test_a_lost_key_is_forgotten_and_the_broker_goes_on_with_a_fresh_one(
    house: House,
) -> None:
    """No tenant is served by another's or the system's keys because of it."""
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    await house.keep_tenants()
    house.beside("seal.key").unlink()
    broker = await house.start()
    env = environment(ADDRESS=broker.address)
    [lost] = (await broker.gateway.admin.GetSeal(admin_pb2.GetSealRequest())).keys
    assert not lost.at_hand
    asked = await keybroker("seal", "drop", lost.key_id, cwd=house.folder, env=env)
    assert (asked.code, asked.err.count("--yes")) == (Exit.USAGE, 1)
    wrong = await keybroker("seal", "drop", "0" * 16, "--yes", cwd=house.folder, env=env)
    assert (wrong.code, lost.key_id in wrong.err) == (Exit.USAGE, True)
    assert not house.beside("seal.key").exists()
    done = await keybroker("seal", "drop", lost.key_id, "--yes", cwd=house.folder, env=env)
    assert done.out == f"Forgot {lost.row_count} secrets.\n"
    assert lost.row_count >= len(TENANTS)
    assert (await broker.status()).seal.state == OPEN
    assert (await broker.denied("acme")).reason == NO_KEYS
    events = await broker.events()
    dropped = {event.key_id for event in events if event.kind == "sealed_dropped"}
    assert {f"{tenant}-1" for tenant in TENANTS} <= dropped
    await broker.create("acme", house.issue("acme-again"), "acme-1")
    assert (await broker.lease("acme")).key_id == "acme-1"
    await broker.kill()
    again = await house.start()
    assert (await again.lease("acme")).key_id == "acme-1"
    assert house.beside("seal.key").stat().st_mode & 0o777 == 0o600


async def test_a_lease_key_or_a_fingerprint_key_that_is_lost_is_made_anew(house: House) -> None:
    """Leases of before are unknown then, and health is learned anew; no key is lost."""
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    await house.keep_tenants()
    shared = copied(house.database, "shared")
    shared.with_name("lease.key").chmod(0o644)
    damaged = copied(house.database, "damaged")
    damaged.with_name("fingerprint.key").write_text("x")
    refused = asyncio.gather(
        *(house.refused(DATABASE=f"sqlite:///{path}") for path in (shared, damaged))
    )
    broker = await house.start()
    lease = await broker.lease("acme")
    await broker.kill()
    house.beside("lease.key").unlink()
    house.beside("fingerprint.key").unlink()
    again = await house.start()
    fault = await fault_of(again.renew(lease))
    assert fault[:2] == (grpc.StatusCode.NOT_FOUND, "LEASE_UNKNOWN")
    assert (await again.lease("acme")).key_id == "acme-1"
    assert (await again.lease()).provenance == SYSTEM
    for name in ("lease.key", "fingerprint.key"):
        assert house.beside(name).stat().st_mode & 0o777 == 0o600
    ends = await refused
    assert [end.code for end in ends] == [Exit.CANNOT_START] * 2
    assert re.search(r"lease\.key is open to other users .*: run chmod 600 /", ends[0].last)
    assert "fingerprint.key is damaged: put it back from a backup. Without one" in ends[1].last


def flip(house: House, key_id: str) -> None:
    """One bit of a key's ciphertext, wherever the broker is."""
    [(sealed,)] = house.sql("SELECT ciphertext FROM key_revisions WHERE key_id = ?", key_id)
    flipped = sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]
    house.sql("UPDATE key_revisions SET ciphertext = ? WHERE key_id = ?", flipped, key_id)


def swap(house: House, one: str, other: str) -> None:
    """The sealed secrets of two keys."""
    columns = "sealed_by, wrapped_key, ciphertext"
    query = f"SELECT {columns} FROM key_revisions WHERE key_id = ?"  # noqa: S608
    change = f"UPDATE key_revisions SET ({columns}) = (?, ?, ?) WHERE key_id = ?"  # noqa: S608
    sealed = {key_id: house.sql(query, key_id)[0] for key_id in (one, other)}
    house.sql(change, *sealed[one], other)
    house.sql(change, *sealed[other], one)


def give_away(house: House, key_id: str, tenant: str) -> None:
    """A whole key, to another tenant."""
    for table in ("keys", "key_revisions"):
        house.sql(f"UPDATE {table} SET tenant = ? WHERE key_id = ?", tenant, key_id)  # noqa: S608


async def test_a_row_that_was_moved_or_flipped_is_refused_and_named(house: House) -> None:
    """Never opened for another, never answered with a system key, and no matter for the others."""
    house.write_env(OPENAI_API_KEY=house.issue("system"))
    await house.keep_tenants()
    swap(house, "acme-1", "bravo-1")
    flip(house, "charlie-1")
    give_away(house, "foxtrot-1", "mallory")
    broker = await house.start()
    await broker.set_policy("charlie", policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM)
    await broker.set_policy("mallory", policy_pb2.POLICY_MODE_TENANT_ONLY)
    flip(house, "echo-1")  # it runs, and has not read it
    for tenant in ("acme", "bravo", "charlie", "mallory", "echo"):
        denial = await broker.denied(tenant)
        assert (denial.reason, denial.action) == (UNUSABLE, FIX_KEYS), tenant
        assert "replace it" in denial.message
    assert (await broker.lease("delta")).key_id == "delta-1"
    told = {e.key_id: e for e in await broker.events() if e.kind == "key_unreadable"}
    assert sorted(told) == ["acme-1", "bravo-1", "charlie-1", "echo-1", "foxtrot-1"]
    assert told["echo-1"].attributes["tenant"] == "echo"
    assert "rotate or delete the key" in told["echo-1"].message
    states = await broker.states()
    assert {key_id for key_id, state in states.items() if state == "unreadable"} == set(told)
    await broker.rotate("charlie-1", house.issue("charlie-new"))
    assert (await broker.lease("charlie")).key_id == "charlie-1"
    await broker.kill()
    again = await house.start()
    assert (await again.lease("charlie")).api_key.secret.plaintext.endswith("charlie-new")
    assert (await again.denied("acme")).reason == UNUSABLE
