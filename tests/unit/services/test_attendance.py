"""A broker is there from its start to its end, and gone a while after it was killed."""

from dataclasses import dataclass, field

import pytest

from broker.adapters.memory import MemoryAgreements
from broker.ports.agreements import Attendance
from broker.ports.errors import StoreUnavailableError
from broker.services.attendance import BEAT_S, PRESENT_S, Attending
from tests.fakes import FakeClock


class FailingAgreements(MemoryAgreements):
    """A store with a switch."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False

    async def attend(self, attendance: Attendance) -> None:
        self._check()
        await super().attend(attendance)

    async def leave(self, replica: str) -> None:
        self._check()
        await super().leave(replica)

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is switched off")


@dataclass
class Fleet:
    """Brokers on one store."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: FailingAgreements = field(default_factory=FailingAgreements)

    def broker(self, name: str, *sealing_keys: str) -> Attending:
        return Attending(self.store, self.clock, name, lambda: sealing_keys)


async def names(attending: Attending) -> list[str]:
    return [one.replica for one in await attending.present()]


async def test_who_said_so_is_there_with_what_it_can_open() -> None:
    fleet = Fleet()
    here, there = fleet.broker("here", "old", "new"), fleet.broker("there")
    await here.say()
    await there.say()
    now = fleet.clock.now()
    assert list(await here.present()) == [
        Attendance("here", now, frozenset({"old", "new"})),
        Attendance("there", now, frozenset()),
    ]


async def test_who_ends_is_gone_at_once() -> None:
    fleet = Fleet()
    here, there = fleet.broker("here"), fleet.broker("there")
    await here.say()
    await there.say()
    await there.close()
    assert await names(here) == ["here"]


async def test_who_is_killed_is_gone_after_fifteen_seconds() -> None:
    fleet = Fleet()
    here, killed = fleet.broker("here"), fleet.broker("killed")
    await killed.say()
    for _ in range(int(PRESENT_S)):
        fleet.clock.advance(1.0)
        await here.on_tick()
    assert await names(here) == ["here", "killed"]
    fleet.clock.advance(1.0)
    assert await names(here) == ["here"]


async def test_a_tick_says_so_every_five_seconds() -> None:
    fleet = Fleet()
    here = fleet.broker("here")
    seen = set()
    for _ in range(20):
        await here.on_tick()
        seen |= {one.seen_at for one in await here.present()}
        fleet.clock.advance(1.0)
    assert len(seen) == 20 / BEAT_S


async def test_a_store_that_is_away_keeps_nobody_up_and_hears_it_when_it_is_back() -> None:
    fleet = Fleet()
    here = fleet.broker("here")
    fleet.store.is_down = True
    with pytest.raises(StoreUnavailableError):
        await here.say()
    await here.on_tick()
    fleet.store.is_down = False
    fleet.clock.advance(1.0)
    await here.on_tick()
    assert await names(here) == ["here"]
    fleet.store.is_down = True
    await here.close()
