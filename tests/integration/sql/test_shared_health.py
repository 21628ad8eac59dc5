"""Brokers on one PostgreSQL have one health, whatever befalls it and the way to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

import pytest
from structlog.testing import capture_logs

from broker.adapters.sql import Database, SqlSharedFactLog
from broker.adapters.sql.change_feed import SqlChangeFeed
from broker.adapters.system import SystemClock
from broker.core.circuit import Circuit
from broker.core.facts import CallFailed, CircuitCleared, Fact, ProbeEnded
from broker.core.scope import key_model_scope, key_scope
from broker.core.words import Evidence, Family, Kind, ProbeResult
from broker.services.health import HealthBook
from tests.integration.sql.shared_given import PROVIDER, kill_connections, nothing_remembered
from tests.postgres import new_database, server

KEYS = ("k1", "k2", "k3")
MODELS = ("m1", "m2")
REVISION = "aa"

FAILURES = (
    (Family.CREDENTIAL, Kind.INVALID_CREDENTIAL, Evidence.CERTAIN),
    (Family.ACCESS, Kind.INVALID_CREDENTIAL, Evidence.WEAK),
    (Family.LIMIT, Kind.RATE_LIMITED, Evidence.CERTAIN),
    (Family.ACCESS, Kind.PERMISSION_DENIED, Evidence.CERTAIN),
)


@dataclass(frozen=True)
class Replica:
    """One broker's health, with the loop that an app has."""

    database: Database
    book: HealthBook
    feed: SqlChangeFeed

    @property
    def circuits(self) -> set[Circuit]:
        return set(self.book.of(PROVIDER).replica.view.circuits())

    async def keep_house(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.book.append_pending()


@asynccontextmanager
async def a_replica(url: str, name: str) -> AsyncIterator[Replica]:
    async with AsyncExitStack() as stack:
        database = await Database.open(url, name)
        stack.push_async_callback(database.close)
        clock = SystemClock()
        log = await SqlSharedFactLog.open(database, clock)
        feed = SqlChangeFeed(url, log, replica=name)
        await feed.follow(lambda _: None)
        stack.push_async_callback(feed.close)
        book = HealthBook([PROVIDER], log, clock, name, lambda _provider, _model: True)
        await book.follow()
        stack.push_async_callback(book.close)
        replica = Replica(database, book, feed)
        house = asyncio.ensure_future(replica.keep_house())
        stack.callback(house.cancel)
        yield replica


@asynccontextmanager
async def replicas(number: int) -> AsyncIterator[tuple[str, Sequence[Replica]]]:
    async with new_database() as url, AsyncExitStack() as stack:
        yield url, [await stack.enter_async_context(a_replica(url, f"r{n}")) for n in range(number)]


def a_fact(random: Random, name: str) -> Fact:
    """Something that happens to one of few keys."""
    key_id, model = random.choice(KEYS), random.choice(MODELS)
    whole, on_model = (
        key_scope(PROVIDER, key_id, REVISION),
        key_model_scope(PROVIDER, key_id, REVISION, model),
    )
    lead_s = random.choice([0.0, 0.01, 1.0])
    what = random.random()
    if what < 0.2:
        result = random.choice(list(ProbeResult))
        return ProbeEnded(
            fact_id=name,
            provider=PROVIDER,
            replica="r",
            lead_s=lead_s,
            key_id=key_id,
            revision=REVISION,
            result=result,
        )
    if what < 0.3:
        return CircuitCleared(
            fact_id=name,
            provider=PROVIDER,
            replica="r",
            scope=random.choice([whole, on_model]),
            family=None,
            principal="ops",
        )
    family, kind, evidence = random.choice(FAILURES)
    return CallFailed(
        fact_id=name,
        provider=PROVIDER,
        replica="r",
        lead_s=lead_s,
        scope=whole if family is Family.CREDENTIAL else on_model,
        family=family,
        kind=kind,
        evidence=evidence,
        hint_s=random.choice([0.0, 0.5, 60.0]),
        model=model,
        probeable=True,
    )


def rejected(key_id: str) -> Fact:
    return CallFailed(
        fact_id=f"rejected {key_id}",
        provider=PROVIDER,
        replica="r",
        scope=key_scope(PROVIDER, key_id, REVISION),
        family=Family.CREDENTIAL,
        kind=Kind.INVALID_CREDENTIAL,
        evidence=Evidence.CERTAIN,
    )


async def agree(fleet: Sequence[Replica], within_s: float = 5.0) -> float:
    """Wait until all know the same and have nothing pending; how long that took."""
    began = time.monotonic()
    while any(one.book.pending_facts or one.circuits != fleet[0].circuits for one in fleet):
        assert time.monotonic() - began < within_s, [one.circuits for one in fleet]
        await asyncio.sleep(0.005)
    positions = {one.book.of(PROVIDER).replica.position for one in fleet}
    assert len(positions) == 1
    return time.monotonic() - began


@pytest.mark.parametrize("seed", range(4))
async def test_replicas_agree_once_all_is_told(seed: int) -> None:
    """Facts at both at once, for some seeds with connections that are lost; a third joins."""
    random = Random(seed)
    async with replicas(2) as (url, fleet):

        async def act(replica: Replica, name: str) -> None:
            for number in range(60):
                await replica.book.submit([a_fact(random, f"{name}{number}")])
                await asyncio.sleep(random.random() * 0.01)

        acting = [asyncio.ensure_future(act(one, one.book.replica)) for one in fleet]
        for _ in range(3):
            await asyncio.sleep(0.1)
            if seed >= 2:
                await kill_connections(url)
        await asyncio.gather(*acting)
        await agree(fleet)
        async with a_replica(url, "late") as late:
            await agree([*fleet, late])


async def test_a_rejection_that_one_hears_is_known_to_all_within_a_moment() -> None:
    async with replicas(3) as (_, fleet):
        delays = []
        for number in range(10):
            began = time.monotonic()
            await fleet[0].book.submit([rejected(f"k{number}")])
            await agree(fleet)
            delays.append(time.monotonic() - began)
            assert len(fleet[2].circuits) == number + 1
        assert max(delays) < 1.0


async def test_while_the_database_is_frozen_facts_wait_and_are_appended_once_on_its_return() -> (
    None
):
    async with replicas(2) as (_, fleet):
        here, there = fleet
        server().freeze()
        try:
            began = time.monotonic()
            await here.book.submit([rejected("k1")])
            assert time.monotonic() - began < 0.2
            await there.book.submit([rejected("k2"), rejected("k1")])
            await asyncio.sleep(3.0)
            assert (here.book.pending_facts, there.book.pending_facts) == (1, 2)
        finally:
            server().thaw()
        assert await agree(fleet) < 2.0
        assert here.book.of(PROVIDER).replica.position == 2
        opened = {record.scope.key_id: record.opened_at for record in here.circuits}
        assert max(opened.values()) < await here.database.now() - 2.5


async def test_a_replica_that_slept_through_a_trim_agrees_again() -> None:
    async with replicas(2) as (_, (awake, asleep)):
        await awake.book.submit([rejected("k1")])
        await agree([awake, asleep])
        await asleep.feed.close()
        await asleep.book.submit([])
        await awake.book.submit([rejected("k2"), rejected("k3")])
        for key_id in ("k4", "k5", "k6"):
            health = awake.book.of(PROVIDER)
            with nothing_remembered():
                await health.snapshots.close(health.replica)
            await awake.book.submit([rejected(key_id)])
        assert len(asleep.circuits) == 1
        with capture_logs() as logs:
            await asleep.book.submit([rejected("k7")])
            await agree([awake, asleep])
        assert [line["event"] for line in logs] == ["facts_missed"]
        assert {record.scope.key_id for record in asleep.circuits} == {
            f"k{number}" for number in range(1, 8)
        }
