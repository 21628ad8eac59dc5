"""PostgreSQL is slow, silent, restarted, full, read-only or of another version."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import grpc
import psycopg
import pytest

from broker.adapters.sql.schema import REVISION
from broker.adapters.sql.upgrading import downgrade_database, upgrade_database
from broker.cli.exits import Exit
from keybroker.v1 import status_pb2
from simulator.postgres import Postgres
from tests.e2e.command import environment, keybroker
from tests.e2e.load import (
    BUSY_S,
    PROMPT_S,
    Group,
    Load,
    all_were_told_soon,
    ever_new,
    in_turn,
    nobody_failed,
)
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, until
from tests.e2e.shared_house import AT_HAND, SharedHouse, set_up, shared
from tests.integration.sql.postgres_given import set_default
from tests.postgres import new_database
from tests.proxy import Proxy

__all__ = ["house"]

UP, DEGRADED = status_pb2.STORE_STATE_UP, status_pb2.STORE_STATE_DEGRADED
STAYS_S = 3.0
"""How long something is wrong in these stories."""

BACK_S = 2.0

SERVED = {
    "own key": Group(in_turn(AT_HAND)),
    "system key": Group(in_turn(["golf", "hotel"])),
    "untenanted": Group(),
}
ALL = SERVED | {"cold": Group(ever_new("cold"), is_patient=False)}


async def change(world: SharedHouse, broker: Broker, tenant: str = "other") -> str:
    """Give a tenant's key a new secret: why that fails, "" where it does not; in time."""
    began, fault = time.monotonic(), ""
    try:
        await broker.rotate(f"{tenant}-1", world.house.issue(f"{tenant}-{time.monotonic_ns()}"))
    except grpc.aio.AioRpcError as error:
        fault = error.details() or error.code().name
    assert time.monotonic() - began < PROMPT_S + BUSY_S
    return fault


async def is_back(world: SharedHouse, broker: Broker) -> None:
    """Leases of whom nobody asked for, changes and the status, soon."""
    ends = time.monotonic() + BACK_S + BUSY_S
    while faults := await what_fails(world, broker):
        assert time.monotonic() < ends, faults
        await asyncio.sleep(0.05)

    async def has_nothing_pending() -> bool:
        return not (await broker.status()).store.pending_facts

    await until(has_nothing_pending)


async def what_fails(world: SharedHouse, broker: Broker) -> list[str]:
    faults = [await change(world, broker)]
    try:
        await broker.lease(f"new-{time.monotonic_ns()}")
    except grpc.aio.AioRpcError as error:
        faults.append(error.details() or error.code().name)
    store = (await broker.status()).store
    faults += [store.fault, "degraded" * (store.state != UP)]
    return [fault for fault in faults if fault]


async def told(broker: Broker) -> str:
    """The fault that the status tells."""

    async def is_degraded() -> bool:
        return (await broker.status()).store.state == DEGRADED

    await until(is_degraded)
    return (await broker.status()).store.fault


def slow(proxy: Proxy) -> None:
    proxy.delay_s = 5.0


@pytest.mark.parametrize("harm", [slow, Proxy.freeze])
async def test_a_database_that_is_slow_by_5_s_or_silent_fails_no_lease_of_tenants_at_hand(
    house: House, harm: Callable[[Proxy], None]
) -> None:
    async with shared(house) as world:
        broker = await set_up(world)
        async with Load(broker, ALL) as load:
            await asyncio.sleep(1.0)
            load.lap()
            harm(world.proxy)
            await asyncio.sleep(STAYS_S / 2)
            assert re.search("does not answer|did not answer", await change(world, broker))
            # What is told is what was found last: an answer that did not come, or a cut commit.
            assert re.search("not answer in time|while it committed", await told(broker))
            await asyncio.sleep(STAYS_S / 2)
            during = load.lap()
            world.proxy.heal()
            await is_back(world, broker)
            await asyncio.sleep(0.5)
            load.lap()
            await asyncio.sleep(1.0)
            nobody_failed(load.lap(), *ALL)
        nobody_failed(during, *SERVED)
        all_were_told_soon(during["cold"])


async def test_a_restart_of_the_server_in_mid_traffic_fails_no_lease(house: House) -> None:
    """Neither one in order nor a crash."""
    with Postgres() as alone:
        await asyncio.to_thread(upgrade_database, alone.url())
        async with shared(house, alone.url()) as world:
            broker = await set_up(world)
            async with Load(broker, SERVED) as load:
                for end in (alone.stop, alone.kill):
                    await asyncio.sleep(1.0)
                    await asyncio.to_thread(end)
                    await asyncio.to_thread(alone.start)
                    await is_back(world, broker)
                ended = load.lap()
        nobody_failed(ended, *SERVED)


async def test_a_server_that_takes_no_more_connections_is_told_of_and_comes_back(
    house: House,
) -> None:
    """A broker keeps those that it has, and whoever has none is told why."""
    with Postgres(max_connections="16", superuser_reserved_connections="0") as small:
        await asyncio.to_thread(upgrade_database, small.url())
        async with shared(house, small.url()) as world, AsyncExitStack() as others:
            broker = await set_up(world)
            world.proxy.cut()
            assert await take_all(small.url(), others) > 10
            world.proxy.heal()
            async with Load(broker, SERVED) as load:
                await asyncio.sleep(1.0)
                why = await change(world, broker)
                assert "takes no more connections: raise max_connections" in why
                assert "takes no more connections" in await told(broker)
                end = await house.refused(DATABASE=world.way, REPLICA="two")
                assert end.code == Exit.CANNOT_START
                assert "takes no more connections: raise max_connections" in end.last
                nobody_failed(load.lap(), *SERVED)
                await others.aclose()
                await is_back(world, broker)
                nobody_failed(load.lap(), *SERVED)


async def take_all(url: str, others: AsyncExitStack) -> int:
    """Every connection that a server has left, and those that it notices to have ended."""
    taken = 0
    for _ in range(20):
        with suppress(psycopg.OperationalError):
            while True:
                connection = await psycopg.AsyncConnection.connect(url)
                others.push_async_callback(connection.close)
                taken += 1
        await asyncio.sleep(0.05)
    return taken


async def test_a_database_that_became_read_only_serves_everybody_and_takes_no_change(
    house: House,
) -> None:
    async with shared(house) as world:
        broker = await set_up(world)
        await set_default(world.url, "default_transaction_read_only", "on")
        async with Load(broker, ALL) as load:
            await asyncio.sleep(1.0)
            why = await change(world, broker)
            assert "it is read-only: name the primary server" in why
            assert "it is read-only" in await told(broker)
            nobody_failed(load.lap(), *ALL)  # also those who must be read first
            await set_default(world.url, "default_transaction_read_only", "off")
            await is_back(world, broker)
            nobody_failed(load.lap(), *SERVED)


async def test_a_schema_that_is_too_new_or_too_old_is_refused_and_the_command_mends_it(
    house: House,
) -> None:
    async with shared(house) as world, new_database(schema=False) as bare, new_database() as old:
        await asyncio.to_thread(downgrade_database, old, "0001")
        await world.sql("UPDATE alembic_version SET version_num = '9999'")
        wanted = {
            world.url: r"its schema is 9999, and this version knows those up to \d+: run the"
            r" version that wrote it, or restore a backup",
            old: f"its schema is 0001, and this version needs {REVISION}: run 'keybroker db"
            " upgrade'",
            bare: f"it has no tables yet, and this version needs {REVISION}: run 'keybroker db"
            " upgrade'",
        }
        ends = await asyncio.gather(*(house.refused(DATABASE=url) for url in wanted))
        for why, end in zip(wanted.values(), ends, strict=True):
            assert end.code == Exit.CANNOT_START
            assert re.search(why, end.last), end.last
        for url, code in ((world.url, Exit.CANNOT_START), (old, Exit.OK), (bare, Exit.OK)):
            env = environment(DATABASE=url, **house.settings)
            done = await keybroker("db", "upgrade", cwd=house.folder, env=env)
            assert done.code == code, done
        house.write_env(OPENAI_API_KEY=house.issue("system"))
        for number, url in enumerate((old, bare)):
            broker = await world.start(url=url)
            await broker.create("acme", house.issue(f"acme-{number}"), "acme-1")
            assert (await broker.lease("acme")).key_id == "acme-1"
