"""A replica that comes back: it knows what was logged, and claims nothing of its former life."""

import pytest

from broker.core.fold import Change
from broker.core.replica import Logged
from broker.core.scope import Upstream, upstream_scope
from broker.core.snapshot import take_snapshot
from broker.core.words import DenialReason, Family, State
from broker.ports.errors import StoreUnavailableError
from broker.services import snapshots
from broker.services.health import HealthBook
from tests.unit.services.answers import BAD_KEY, EXHAUSTED, FAULT, LIMITED, OK, STRANGE, WEAK_401
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key

KEY = a_key("k")
UPSTREAM = upstream_scope(Upstream("openai", "", "gpt-4o"))


class FakeListener:
    def __init__(self) -> None:
        self.seen: list[Change] = []
        self.confirmed: list[Logged] = []

    def on_view(self, provider: str, changes: list[Change], now: float) -> None:
        self.seen += changes

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        self.confirmed.append(logged)


async def restarted(house: House) -> House:
    """The next process of the same replica, which may have been killed."""
    return await a_house(name="here", beside=house)


def known(house: House) -> object:
    """All that is confirmed of the provider."""
    return take_snapshot("openai", house.core.health.of("openai").replica, house.clock.now())


@pytest.mark.parametrize("is_clean", [False, True])
async def test_health_is_what_it_was(*, is_clean: bool) -> None:
    house = await a_house(KEY, a_key("second"), a_key("third"))
    for outcome in (BAD_KEY, WEAK_401, EXHAUSTED):
        await house.call(outcome)
    if is_clean:
        await house.core.health.close()
    back = await restarted(house)
    assert known(back) == known(house)
    assert (await house.shared_log.snapshot("openai") is not None) is is_clean


async def test_a_quarantine_survives_many_restarts() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    for _ in range(3):
        await house.core.health.close()
        house = await restarted(house)
        assert await house.refused() is DenialReason.QUARANTINED


async def test_what_a_former_life_logged_is_told_and_counted_once() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    assert await house.events("circuit_opened")
    back = await restarted(house)
    assert await back.events() == []
    assert not [name for name in back.meter.counts if name[0] == "transitioned"]


async def test_what_is_logged_after_the_restart_is_its_own_again() -> None:
    house = await a_house(KEY)
    await house.call(LIMITED)
    back = await restarted(house)
    back.clock.advance(3600)
    await back.call(BAD_KEY)
    assert [event.key_id for event in await back.events("circuit_opened")] == ["k"]


async def test_what_the_log_had_not_taken_goes_with_the_process() -> None:
    house = await a_house(KEY)
    house.log.is_down = True
    await house.call(BAD_KEY)
    await house.core.health.close()
    back = await restarted(house)
    assert back.core.health.pending_facts == 0
    await back.lease()


async def test_strangers_are_no_part_of_a_snapshot() -> None:
    house = await a_house(KEY)
    await house.call(LIMITED, STRANGE)
    await house.call(LIMITED)
    await house.core.health.close()
    back = await restarted(house)
    assert [record.scope.model for record in back.core.health.circuits()] == ["gpt-4o"]


@pytest.mark.parametrize("is_clean", [False, True])
async def test_a_window_that_began_at_a_reopening_holds_no_older_faults(*, is_clean: bool) -> None:
    house = await a_house(KEY)
    await house.calls(10, FAULT)
    await house.tick(1)
    await house.tick(19)
    await house.call(OK)
    assert house.state(UPSTREAM, Family.HEALTH) is State.RAMPING
    if is_clean:
        await house.core.health.close()
    back = await a_house(name="a new name", beside=house)
    back.clock.advance(12)
    await back.call(FAULT)
    assert back.state(UPSTREAM, Family.HEALTH) is not State.OPEN


async def test_listeners_learn_what_was_restored_before_they_are_asked() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.core.health.close()
    listener, log = FakeListener(), house.shared_log
    book = HealthBook(["openai"], log, house.clock, "here", lambda _provider, _model: True)
    book.listen(listener)
    await book.follow()
    assert [change.states for change in listener.seen] == [(State.CLOSED, State.OPEN)]
    assert listener.confirmed == []


async def test_a_snapshot_is_written_when_enough_was_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVERY", 3)
    house = await a_house(*(a_key(f"k{number}") for number in range(7)))
    for _ in range(2):
        await house.call(BAD_KEY)
    assert await house.shared_log.snapshot("openai") is None
    await house.call(BAD_KEY)
    await house.tick()
    saved = await house.shared_log.snapshot("openai")
    assert saved is not None
    assert saved.position >= 3


async def test_a_snapshot_that_cannot_be_written_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVERY", 1)
    house = await a_house(KEY, a_key("other"))

    async def refuse(_snapshot: object) -> None:
        raise StoreUnavailableError("the disk is full")

    monkeypatch.setattr(house.shared_log, "save_snapshot", refuse)
    await house.call(BAD_KEY)
    await house.call(BAD_KEY)
    await house.core.health.close()
    back = await restarted(house)
    assert await back.refused() is DenialReason.QUARANTINED


async def test_a_second_close_writes_nothing_new() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.core.health.close()
    saved = await house.shared_log.snapshot("openai")
    house.clock.advance(60)
    await house.core.health.close()
    assert await house.shared_log.snapshot("openai") is saved


async def test_what_waits_for_the_log_is_logged_at_the_end() -> None:
    """The log may work again by then, and nobody will try later."""
    house = await a_house(KEY)
    house.log.is_down = True
    await house.call(BAD_KEY)
    assert house.core.health.pending_facts
    house.log.is_down = False
    await house.core.health.close()
    assert (await (await restarted(house)).denial()).reason is DenialReason.QUARANTINED
