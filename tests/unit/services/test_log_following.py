"""A replica that the log left behind begins anew: with what stands, and what it has pending."""

from collections.abc import Callable

import pytest

from broker.adapters.memory import MemoryFactLog
from broker.core.facts import CallFailed, Fact
from broker.core.fold import Change
from broker.core.replica import Logged
from broker.core.scope import key_scope
from broker.core.snapshot import Snapshot
from broker.core.words import Evidence, Family, Kind, State
from broker.ports.errors import StoreUnavailableError
from broker.ports.fact_log import Deliver, Lost, no_matter
from broker.services.health import HealthBook
from tests.fakes import FakeClock, settle

PROVIDER = "openai"


class LosingLog:
    """A memory log whose followers can be left behind, as if they had slept through a trim."""

    def __init__(self, inner: MemoryFactLog) -> None:
        self.inner = inner
        self._losts: list[Callable[[], None]] = []
        self.is_down = False
        self.losses_to_come = 0

    async def append(self, fact: Fact, age_s: float) -> Logged:
        self._check()
        return await self.inner.append(fact, age_s)

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        self._check()
        if self.losses_to_come:
            self.losses_to_come -= 1
            lost()
            return lambda: None
        stop = await self.inner.follow(provider, after, deliver)

        def lose() -> None:
            stop()
            lost()

        self._losts.append(lose)
        return stop

    async def snapshot(self, provider: str) -> Snapshot | None:
        self._check()
        return await self.inner.snapshot(provider)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self.inner.save_snapshot(snapshot)

    def lose(self) -> None:
        """Leave everybody behind."""
        losts, self._losts = self._losts, []
        for lose in losts:
            lose()

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the log is switched off")


class Listener:
    """Hears what decisions read anew, and which own facts are told."""

    def __init__(self) -> None:
        self.views: list[tuple[str, tuple[State, State]]] = []
        self.own: list[str] = []

    def on_view(self, provider: str, changes: list[Change], now: float) -> None:
        self.views += [(change.scope.key_id, change.states) for change in changes]

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        if own:
            self.own.append(logged.fact.fact_id)


class Fleet:
    """Two replicas: what befalls the log of the one who sleeps does not befall the other's."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.shared = MemoryFactLog(self.clock)
        self.log = LosingLog(self.shared)
        self.heard = Listener()
        self.awake = self._book(LosingLog(self.shared), "awake")
        self.sleeper = self._book(self.log, "sleeper")
        self.sleeper.listen(self.heard)

    def _book(self, log: LosingLog, name: str) -> HealthBook:
        return HealthBook([PROVIDER], log, self.clock, name, lambda _provider, _model: True)

    async def begin(self) -> None:
        await self.awake.follow()
        await self.sleeper.follow()

    async def save_snapshot(self) -> None:
        """The one who is awake keeps a snapshot, and goes on."""
        health = self.awake.of(PROVIDER)
        await health.snapshots.close(health.replica)

    def known(self, book: HealthBook) -> set[str]:
        return {record.scope.key_id for record in book.circuits()}


@pytest.fixture
async def fleet() -> Fleet:
    fleet = Fleet()
    await fleet.begin()
    return fleet


def trip(key_id: str) -> CallFailed:
    return CallFailed(
        fact_id=f"tripped {key_id}",
        provider=PROVIDER,
        replica="r",
        scope=key_scope(PROVIDER, key_id, "aa"),
        family=Family.CREDENTIAL,
        kind=Kind.INVALID_CREDENTIAL,
        evidence=Evidence.CERTAIN,
    )


async def test_it_goes_on_from_the_newest_snapshot(fleet: Fleet) -> None:
    await fleet.awake.submit([trip("a"), trip("b")])
    await fleet.save_snapshot()
    fleet.log.lose()
    await settle()
    await fleet.awake.submit([trip("c")])
    assert fleet.known(fleet.sleeper) == fleet.known(fleet.awake) == {"a", "b", "c"}
    position = fleet.awake.of(PROVIDER).replica.position
    assert fleet.sleeper.of(PROVIDER).replica.position == position


async def test_what_it_has_pending_stays_and_is_told_once_it_is_logged(fleet: Fleet) -> None:
    await fleet.awake.submit([trip("a")])
    await fleet.save_snapshot()
    fleet.log.is_down = True
    await fleet.sleeper.submit([trip("own")])
    fleet.log.is_down = False
    fleet.log.lose()
    await settle()
    assert fleet.known(fleet.sleeper) == {"a", "own"}
    assert (fleet.sleeper.pending_facts, fleet.heard.own) == (1, [])
    fleet.sleeper.append_pending()
    await settle()
    assert (fleet.sleeper.pending_facts, fleet.heard.own) == (0, ["tripped own"])
    assert fleet.known(fleet.awake) == {"a", "own"}


async def test_listeners_hear_what_is_not_as_it_was(fleet: Fleet) -> None:
    """What this replica knew, and the log no longer does, is closed."""
    await fleet.awake.submit([trip("gone")])
    fleet.log.inner = MemoryFactLog(fleet.clock)
    await fleet.log.inner.append(trip("new"), 0.0)
    fleet.heard.views.clear()
    fleet.log.lose()
    await settle()
    assert sorted(fleet.heard.views) == [
        ("gone", (State.OPEN, State.CLOSED)),
        ("new", (State.CLOSED, State.OPEN)),
    ]


async def test_where_the_log_does_not_answer_the_next_tick_tries_again(fleet: Fleet) -> None:
    await fleet.awake.submit([trip("a")])
    fleet.log.is_down = True
    fleet.log.lose()
    for _ in range(3):
        fleet.sleeper.append_pending()
        await settle()
    assert fleet.known(fleet.sleeper) == {"a"}
    fleet.log.is_down = False
    await fleet.awake.submit([trip("b")])
    assert fleet.known(fleet.sleeper) == {"a"}
    fleet.sleeper.append_pending()
    await settle()
    assert fleet.known(fleet.sleeper) == {"a", "b"}


async def test_a_replica_that_is_left_behind_as_it_begins_begins_anew() -> None:
    fleet = Fleet()
    fleet.log.losses_to_come = 2
    await fleet.begin()
    await fleet.awake.submit([trip("a")])
    await settle()
    fleet.sleeper.append_pending()
    await settle()
    assert fleet.known(fleet.sleeper) == {"a"}


async def test_an_end_while_it_begins_anew_leaves_no_follower_behind(fleet: Fleet) -> None:
    fleet.log.is_down = True
    fleet.log.lose()
    await fleet.sleeper.close()
    fleet.log.is_down = False
    await settle()
    await fleet.awake.submit([trip("a")])
    assert fleet.known(fleet.sleeper) == set()
