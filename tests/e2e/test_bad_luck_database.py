"""A database that another process holds, that no disk takes, that was taken away: leases go on."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import grpc

from keybroker.v1 import admin_pb2, key_pb2, lease_pb2, policy_pb2, status_pb2
from tests.e2e.processes import TENANTS, House, house
from tests.e2e.running import Broker, Fault, fault_of, until
from tests.integration.sql.disturbing import a_small_disk, fill, locked

__all__ = ["house"]

TENANT_ONLY = policy_pb2.POLICY_MODE_TENANT_ONLY
UP, DEGRADED = status_pb2.STORE_STATE_UP, status_pb2.STORE_STATE_DEGRADED
ANSWER_S = 9.5
"""Within this an operator is told that the database takes nothing."""


@contextmanager
def unreadable(database: Path) -> Iterator[None]:
    """Another process holds all locks there are, so that nobody can even read."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, f"{database}-shm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)  # where SQLite's locks on its write-ahead log are
print("held", flush=True)
sys.stdin.read()
"""


async def set_up(house: House) -> Broker:
    """Two system keys, one tenant at hand and others that are not."""
    house.write_env(OPENAI_API_KEY_1=house.issue("s1"), OPENAI_API_KEY_2=house.issue("s2"))
    await house.keep_tenants()
    broker = await house.start()
    await broker.says("boot_probe_done")
    assert (await broker.lease("acme")).key_id == "acme-1"
    return broker


async def refused(call: Awaitable[object]) -> Fault:
    """How a call fails that needs the database: in time, and saying so."""
    began = time.monotonic()
    fault = await fault_of(call)
    assert time.monotonic() - began < ANSWER_S
    assert fault[:2] == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    return fault


async def has_nothing_pending(broker: Broker) -> bool:
    store = (await broker.status()).store
    return store.state == UP and not store.pending_facts and not store.fault


async def leases_go_on(house: House, broker: Broker) -> None:
    """For system keys and for a tenant at hand; what happens meanwhile waits in memory."""
    for _ in range(5):
        await broker.lease("acme")
    house.sim.revoke("s1")
    while (lease := await broker.lease()).key_id != "openai/1":
        await broker.gateway.use(lease)
    began = time.monotonic()
    await broker.gateway.use(lease)
    assert time.monotonic() - began < 1.0
    for _ in range(5):
        lease = await broker.lease()
        assert lease.key_id == "openai/2"
        assert (await broker.gateway.use(lease)).lease_state == lease_pb2.LEASE_STATE_ENDED


async def changes_fail(house: House, broker: Broker) -> set[str]:
    """Whatever an operator wants to change; the causes that they are told."""
    admin = broker.gateway.admin
    faults = await asyncio.gather(
        refused(broker.create("golf", house.issue("golf"), "golf-1")),
        refused(broker.rotate("acme-1", house.issue("acme-new"))),
        refused(broker.delete("bravo-1")),
        refused(broker.set_policy("golf", TENANT_ONLY)),
        refused(admin.DisableKey(admin_pb2.DisableKeyRequest(key_id="openai/2"))),
    )
    for fault in faults:
        assert fault.message.endswith(("nothing was changed: retry", "look before you repeat"))
    return {fault.cause for fault in faults}


async def nothing_is_lost(house: House, broker: Broker) -> Broker:
    """Neither in the process that lived through it nor for the next one."""
    await until(lambda: has_nothing_pending(broker), 5.0)
    told = [event.event_id for event in await broker.events()]
    assert "key_disabled" not in await broker.kinds()
    await broker.kill()
    again = await house.start(BOOT_PROBE="off")
    systems = {"openai/1": "quarantined", "openai/2": "healthy"}
    assert await again.states() == systems | {f"{name}-1": "healthy" for name in TENANTS}
    assert [event.event_id for event in await again.events()][: len(told)] == told
    assert (await again.lease("acme")).key_id == "acme-1"
    return again


async def decides_alone(broker: Broker) -> bool:
    return (await broker.lease()).degraded


async def it_is_told(broker: Broker, cause: str) -> None:
    """To whoever asks for the status, and to whoever reads the log: once."""
    store = (await broker.status()).store
    assert (store.state, store.kind) == (DEGRADED, "sqlite")
    assert store.pending_facts
    assert cause in store.fault
    await until(lambda: decides_alone(broker), 5.0)
    said = broker.said("database_unavailable")
    assert [line["detail"] for line in said] == [store.fault]


async def test_a_database_that_another_process_locks_holds_up_nobody_but_who_changes_it(
    house: House,
) -> None:
    broker = await set_up(house)
    with locked(house.database, "BEGIN IMMEDIATE"):
        await leases_go_on(house, broker)
        assert (await broker.lease("bravo")).key_id == "bravo-1"  # reading goes on
        [cause] = await changes_fail(house, broker)
        assert cause == "the database does not work: another process holds a lock on it"
        await it_is_told(broker, "another process holds a lock on it")
    again = await nothing_is_lost(house, broker)
    with unreadable(house.database):
        await nobody_is_served_on_a_guess(again)
    assert (await again.lease("bravo")).key_id == "bravo-1"


async def nobody_is_served_on_a_guess(broker: Broker) -> None:
    """A tenant that cannot be read is refused, in time; who is at hand is served meanwhile."""
    asked = [asyncio.create_task(refused(broker.lease(name))) for name in ("bravo", "nobody")]
    await asyncio.sleep(0.1)
    assert (await broker.lease("acme")).key_id == "acme-1"
    assert (await broker.lease()).provenance == key_pb2.PROVENANCE_SYSTEM
    for fault in await asyncio.gather(*asked):
        assert fault.cause == "the database did not answer within 0.9 s"


async def test_a_disk_that_takes_nothing_fails_no_lease(house: House) -> None:
    """Nor does it hold up the end: then it is told how much could not be kept."""
    broker = await set_up(house)
    broker.may_write(size=0)
    await leases_go_on(house, broker)
    assert (await broker.lease("bravo")).key_id == "bravo-1"
    [cause] = await changes_fail(house, broker)
    assert cause == "the database does not work: the disk fails: look at the system's log"
    await asyncio.sleep(1.0)
    await it_is_told(broker, "the disk fails")
    broker.may_write()
    again = await nothing_is_lost(house, broker)
    again.may_write(size=0)
    disable = admin_pb2.DisableUpstreamRequest(provider="openai")
    await refused(again.gateway.admin.DisableUpstream(disable))
    house.sim.revoke("s2")
    await again.gateway.use(await again.lease())
    assert await again.stop() < 8.0
    assert again.said("facts_lost")[0]["facts"] >= 1


async def test_a_full_disk_fails_no_lease_and_says_what_to_do(house: House) -> None:
    disk = house.folder / "disk"
    with a_small_disk(house.folder):
        house.settings["DATABASE"] = "sqlite:///disk/keybroker.db"
        broker = await set_up(house)
        free = os.statvfs(disk)
        filler = disk / "filler"
        fill(filler, free.f_bavail * free.f_frsize)
        await leases_go_on(house, broker)
        assert (await broker.lease("bravo")).key_id == "bravo-1"

        async def create() -> str:
            """Small things may still find room in files that have some."""
            try:
                await broker.create("golf", house.issue(uuid4().hex), uuid4().hex)
            except grpc.aio.AioRpcError as error:
                return error.details() or ""
            return ""

        while not (told := await create()):
            pass
        assert "the disk is full: make room; nothing was changed: retry" in told
        filler.unlink()
        await until(lambda: has_nothing_pending(broker), 5.0)
        assert await create() == ""
        await broker.stop()


async def test_a_database_that_is_taken_away_is_asked_back(house: House) -> None:
    """Deleted or replaced: what would be written there no restart would find."""
    broker = await set_up(house)
    away = house.beside("away.db")
    house.database.rename(away)
    await leases_go_on(house, broker)
    [cause] = await changes_fail(house, broker)
    assert cause.endswith("its file was moved or deleted: put it back, and restart")
    house.database.write_bytes(b"")  # another one in its place is not the same
    await refused(broker.create("golf", house.issue("d2"), "golf-2"))
    away.rename(house.database)
    await nothing_is_lost(house, broker)
