"""Health over restarts on one file: what a replica knew it knows again, told and counted once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broker.adapters.sql import Database, SqlFactLog, last_logged_at
from broker.core.snapshot import Snapshot, take_snapshot
from broker.core.words import DenialReason
from broker.services import snapshots
from tests.fakes import FakeClock, eventually, settle
from tests.integration.sql.sql_given import rows_of
from tests.unit.services.answers import BAD_KEY, EXHAUSTED, FAULT, LIMITED, OK, WEAK_401
from tests.unit.services.house import INCONCLUSIVE, REJECTED, House, a_house
from tests.unit.services.status_given import a_key

KEYS = [a_key(f"k{number}") for number in range(6)]


@asynccontextmanager
async def a_life(path: Path, clock: FakeClock) -> AsyncIterator[House]:
    """One process of the replica `here`; it ends without a word, as by a kill."""
    database = await Database.open(path)
    log = await SqlFactLog.open(database, clock)
    shell = await a_house(*KEYS)
    yield await a_house(beside=replace(shell, shared_log=log, clock=clock), name="here")
    await database.close()


async def logged(house: House) -> None:
    """The log has confirmed all that happened here."""
    await eventually(lambda: house.core.health.pending_facts == 0)
    await settle()


def known(house: House) -> Snapshot:
    return take_snapshot("openai", house.core.health.of("openai").replica, house.clock.now())


async def a_bad_day(house: House) -> None:
    """A bit of everything."""
    for outcome in (BAD_KEY, WEAK_401, LIMITED, OK, FAULT, FAULT):
        await house.call(outcome)
        await house.tick(1.0)
    house.prober.will_find("k0", REJECTED, INCONCLUSIVE)
    await house.probe()
    await house.tick(1.0)
    await house.call(EXHAUSTED)
    await logged(house)


@pytest.mark.parametrize("every", [1, 3, 1000])
async def test_a_replica_that_was_killed_knows_again_what_it_knew(
    path: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVERY", every)
    clock = FakeClock()
    async with a_life(path, clock) as house:
        await a_bad_day(house)
        before = known(house)
    assert len(before.circuits) >= 4
    async with a_life(path, clock) as house:
        assert known(house) == before
        assert await house.events() == []
        assert not [name for name in house.meter.counts if name[0] == "transitioned"]
    assert bool(rows_of(path)["snapshots"]) is (every < 1000)


async def test_a_life_after_a_snapshot_and_a_kill_leads_to_the_same_health(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state does not depend on where snapshots and restarts happened to fall."""
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVERY", 2)
    clock = FakeClock()
    async with a_life(path, clock) as house:
        await a_bad_day(house)
        await house.core.health.close()
    async with a_life(path, clock) as house:
        clock.advance(3600.0)
        await a_bad_day(house)
        before = known(house)
    async with a_life(path, clock) as house:
        assert known(house) == before


async def test_a_quarantine_keeps_its_length_though_the_clock_was_set_back(path: Path) -> None:
    clock = FakeClock()
    async with a_life(path, clock) as house:
        await house.calls(6, LIMITED)
        await logged(house)
        ends = max(circuit.until for circuit in known(house).circuits)
        left_s = ends - clock.now()
    database = await Database.open(path)
    clock = FakeClock(max(clock.now() - 3600.0, await last_logged_at(database)))
    await database.close()
    async with a_life(path, clock) as house:
        assert await house.refused() is DenialReason.COOLING_DOWN
        clock.advance(left_s + 1.0)
        await house.lease()
