"""Several brokers that write to one PostgreSQL at once: each change is whole, none is lost."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import Connection, update

from broker.adapters.sql import (
    Database,
    SqlEventHistory,
    SqlKeyStore,
    SqlLastGoodStore,
    SqlMarkStore,
)
from broker.adapters.sql.schema import KEYS
from broker.core.tenancy import PolicyMode
from broker.ports.errors import DuplicateSecretError, KeyTakenError, StoreUnavailableError
from tests.fakes import FakeClock
from tests.integration.sql.postgres_given import brokers, warm
from tests.integration.sql.sql_given import LAST_GOOD, MARK, POLICY, a_key, a_revision, an_event
from tests.postgres import new_database

ROUNDS = 20


@pytest.fixture
async def both() -> AsyncIterator[list[Database]]:
    """The databases of two brokers, which are one."""
    async with new_database() as url, brokers(url, "one", "two") as opened:
        for database in opened:
            await warm(database)
        yield opened


def named(results: list[object]) -> list[str]:
    return sorted(type(result).__name__ for result in results)


async def test_one_of_two_that_create_the_same_key_is_refused(both: list[Database]) -> None:
    for number in range(ROUNDS):
        key = a_key(f"acme/{number}")
        results = await asyncio.gather(
            *(SqlKeyStore(database).create(key, POLICY) for database in both),
            return_exceptions=True,
        )
        assert named(list(results)) == [KeyTakenError.__name__, "NoneType"]


async def test_one_of_two_keys_with_the_same_secret_is_refused(both: list[Database]) -> None:
    for number in range(ROUNDS):
        keys = [a_key(f"acme/{number}-{broker}", f"secret {number}") for broker in "ab"]
        results = await asyncio.gather(
            *(
                SqlKeyStore(database).create(key, POLICY)
                for database, key in zip(both, keys, strict=True)
            ),
            return_exceptions=True,
        )
        assert named(list(results)) == [DuplicateSecretError.__name__, "NoneType"]


async def test_a_tenant_s_first_policy_is_set_once(both: list[Database]) -> None:
    for number in range(ROUNDS):
        tenant = f"tenant {number}"
        policies = [
            replace(POLICY, tenant=tenant, mode=mode, set_by=mode)
            for mode in (PolicyMode.TENANT_ONLY, PolicyMode.TENANT_THEN_SYSTEM)
        ]
        await asyncio.gather(
            *(
                SqlKeyStore(database).create(
                    a_key(f"{tenant}/{policy.set_by}", tenant=tenant), policy
                )
                for database, policy in zip(both, policies, strict=True)
            )
        )
        record = await SqlKeyStore(both[0]).tenant(tenant)
        assert len(record.keys) == 2
        assert record.policies["openai"] in policies


async def test_what_two_replace_at_once_is_one_or_the_other(both: list[Database]) -> None:
    for number in range(ROUNDS):
        marks = [replace(MARK, at=MARK.at + number, principal=name) for name in ("alice", "bob")]
        await asyncio.gather(
            *(SqlMarkStore(database).put(mark) for database, mark in zip(both, marks, strict=True)),
            *(SqlLastGoodStore(database).put(LAST_GOOD) for database in both),
            *(SqlKeyStore(database).put_policy(POLICY) for database in both),
        )
        assert (await SqlMarkStore(both[1]).marks())[0] in marks
    assert await SqlLastGoodStore(both[0]).all() == (LAST_GOOD,)


async def test_a_key_keeps_its_last_revision_whoever_drops_the_others(
    both: list[Database],
) -> None:
    stores = [SqlKeyStore(database) for database in both]
    for number in range(ROUNDS):
        key_id = f"acme/{number}"
        await stores[0].create(a_key(key_id, f"a{number}", f"b{number}"), POLICY)
        await asyncio.gather(
            stores[0].drop_revision(key_id, f"a{number}"),
            stores[1].drop_revision(key_id, f"b{number}"),
        )
        kept = await stores[0].key(key_id)
        assert kept is not None
        assert len(kept.revisions) == 1


async def test_revisions_that_two_add_at_once_are_both_kept(both: list[Database]) -> None:
    stores = [SqlKeyStore(database) for database in both]
    await stores[0].create(a_key("acme/1", "first"), POLICY)
    for number in range(ROUNDS):
        added = await asyncio.gather(
            *(
                store.add_revision("acme/1", a_revision(f"{name}{number}"))
                for store, name in zip(stores, "ab", strict=True)
            )
        )
        assert added == [True, True]
    kept = await stores[0].key("acme/1")
    assert kept is not None
    assert len(kept.revisions) == 1 + 2 * ROUNDS


async def test_a_revision_of_a_key_that_is_deleted_meanwhile_goes_with_it(
    both: list[Database],
) -> None:
    stores = [SqlKeyStore(database) for database in both]
    for number in range(ROUNDS):
        key_id = f"acme/{number}"
        await stores[0].create(a_key(key_id, f"a{number}"), POLICY)
        _, was_there = await asyncio.gather(
            stores[0].add_revision(key_id, a_revision(f"b{number}")), stores[1].delete(key_id)
        )
        assert was_there
        assert await stores[0].key(key_id) is None


def crossing(first: str, second: str, meet: threading.Barrier) -> Callable[[Connection], None]:
    """Change two keys, with the other broker in between."""

    def work(connection: Connection) -> None:
        touch(connection, first)
        if not meet.broken:
            with suppress(threading.BrokenBarrierError):
                meet.wait(0.1)
        touch(connection, second)
        meet.abort()

    return work


def touch(connection: Connection, key_id: str) -> None:
    change = update(KEYS).where(KEYS.c.key_id == key_id)
    connection.execute(change.values(updated_at=KEYS.c.updated_at + 1))


@pytest.mark.parametrize("within_s", [None, 10.0])
async def test_two_that_wait_for_one_another_are_both_done(
    both: list[Database], within_s: float | None
) -> None:
    """One gives way, and is done again alone."""
    keys = SqlKeyStore(both[0])
    for key_id in ("acme/1", "acme/2"):
        await keys.create(a_key(key_id), POLICY)
    before = [key.updated_at for key in (await keys.tenant("acme")).keys]
    meet = threading.Barrier(2)
    await asyncio.gather(
        both[0].write(crossing("acme/1", "acme/2", meet), within_s=within_s),
        both[1].write(crossing("acme/2", "acme/1", meet), within_s=within_s),
    )
    after = [key.updated_at for key in (await keys.tenant("acme")).keys]
    assert after == [at + 2 for at in before]


async def test_a_lock_that_stays_is_told_in_time_and_takes_no_other_change_with_it(
    both: list[Database],
) -> None:
    keys = [SqlKeyStore(database) for database in both]
    await keys[0].create(a_key("acme/1"), POLICY)
    began, go_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        touch(connection, "acme/1")
        began.set()
        go_on.wait(5)

    holding = asyncio.ensure_future(both[0].write(hold, within_s=10.0))
    await asyncio.to_thread(began.wait)
    locked, other = await asyncio.gather(
        keys[1].delete("acme/1"), SqlMarkStore(both[1]).put(MARK), return_exceptions=True
    )
    go_on.set()
    await holding
    assert isinstance(locked, StoreUnavailableError)
    assert other is None
    assert both[1].fault == ""
    assert await keys[1].delete("acme/1")


async def test_a_long_write_holds_up_no_other(both: list[Database]) -> None:
    began, go_on = threading.Event(), threading.Event()

    def long(_: Connection) -> None:
        began.set()
        go_on.wait(5)

    writing = asyncio.ensure_future(both[0].write(long, within_s=10.0))
    await asyncio.to_thread(began.wait)
    await SqlMarkStore(both[0]).put(MARK)
    go_on.set()
    await writing


async def test_brokers_keep_their_events_in_one_history(both: list[Database]) -> None:
    histories = [SqlEventHistory(database, FakeClock()) for database in both]
    for number in range(10):
        for broker, history in enumerate(histories):
            history.record(replace(an_event(number), event_id=f"{broker}-{number}"))
    for history in histories:
        await history.close()
    events, _ = await histories[0].page(before=None, limit=50)
    assert sorted(event.event_id for event in events) == sorted(
        f"{broker}-{number}" for broker in range(2) for number in range(10)
    )
