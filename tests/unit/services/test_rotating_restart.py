"""The last secret that worked is kept sealed: a restart on a wrong one serves on."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from broker.adapters.memory import MemoryLastGoodStore
from broker.adapters.seal import AesSealer, ClosedSealer
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_source import SourceFault
from broker.ports.last_good import LastGood
from broker.services.last_goods import FORGET_AFTER_S, REFRESH_S
from tests.fakes import settle
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import INCONCLUSIVE, REJECTED, House, a_house
from tests.unit.services.rotation_given import (
    NEW,
    OLD,
    held,
    new,
    read_again,
    restarted,
    rotated,
    saved,
    served,
)
from tests.unit.services.status_given import a_key


class CountingStore(MemoryLastGoodStore):
    """Counts what is written; fails while it `is_down`."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.is_down = False

    async def all(self) -> tuple[LastGood, ...]:
        self._check()
        return await super().all()

    async def put(self, last_good: LastGood) -> None:
        self._check()
        self.puts += 1
        await super().put(last_good)

    async def remove(self, key_id: str) -> None:
        self._check()
        await super().remove(key_id)

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the disk is full")


async def kept(house: House) -> dict[str, str]:
    await saved(house)
    return {last.key_id: last.revision for last in await house.core.world.last_good.all()}


async def worked() -> House:
    """A house whose key has worked, which is kept."""
    house = await a_house(OLD)
    await house.call(OK)
    await read_again(house)
    assert await kept(house) == {"k": OLD.revision}
    return house


async def test_a_restart_on_a_bogus_secret_costs_no_call() -> None:
    house = await worked()
    again = await restarted(house, NEW)
    assert await served(again) == OLD.revision
    again.prober.will_find("k", REJECTED)
    await again.probe()
    assert again.prober.calls == [("k", "new")]
    assert await served(again) == OLD.revision
    (event,) = await again.events("revision_restored")
    assert event.attributes == {"revision": OLD.revision, "declared": "new"}
    assert len(await again.events("revision_rejected")) == 1


async def test_a_restart_on_a_right_secret_takes_it_when_it_is_proved() -> None:
    house = await worked()
    again = await restarted(house, NEW)
    await again.probe()
    assert await served(again) == "new"
    await read_again(again)
    assert await kept(again) == {"k": "new"}
    assert len(await again.events("revision_adopted")) == 1


async def test_a_restart_on_the_same_secret_is_no_rotation() -> None:
    house = await worked()
    again = await restarted(house, OLD)
    assert held(again) == [OLD.revision]
    assert not again.core.keyring.is_unproven("k", OLD.revision)


async def test_the_same_secret_under_another_name_is_no_rotation() -> None:
    """Revisions are named anew when the fingerprint secret is changed."""
    house = await worked()
    again = await restarted(house, replace(OLD, revision="renamed"))
    assert held(again) == ["renamed"]
    await read_again(again)


async def test_a_restart_on_a_secret_whose_probes_prove_nothing_serves_the_one_that_worked() -> (
    None
):
    house = await worked()
    again = await restarted(house, NEW)
    again.prober.will_find("k", *[INCONCLUSIVE] * 9)
    await again.probe()
    assert await served(again) == OLD.revision
    await again.call(BAD_KEY)
    assert await served(again) == "new"


async def test_a_kept_secret_that_is_quarantined_holds_nobody_up() -> None:
    house = await worked()
    await house.call(BAD_KEY)
    again = await restarted(house, NEW, is_forgetful=False)
    assert await served(again) == "new"
    assert await again.events("revision_restored") == []


async def test_a_rejected_secret_is_never_kept() -> None:
    house = await worked()
    await rotated(house, NEW, REJECTED)
    await read_again(house)
    assert await kept(house) == {"k": OLD.revision}


async def test_a_key_that_comes_later_than_the_start_falls_back_too() -> None:
    house = await worked()
    again = await restarted(house)
    again.source.faults = (SourceFault(".env:1", "cannot be read"),)
    await read_again(again, FORGET_AFTER_S * 2)
    await again.has_keys(NEW)
    assert await served(again) == OLD.revision


async def test_what_worked_is_forgotten_when_no_source_names_the_key_any_more() -> None:
    house = await worked()
    await house.has_keys(a_key("o"))
    assert await kept(house) == {"k": OLD.revision}
    await read_again(house, FORGET_AFTER_S)
    assert await kept(house) == {}


async def test_while_a_source_is_faulty_nothing_that_worked_is_forgotten() -> None:
    house = await worked()
    again = await restarted(house)
    again.source.is_down = True
    await read_again(again)
    await read_again(again, FORGET_AFTER_S)
    assert await kept(again) == {"k": OLD.revision}


# --- Bad luck ---------------------------------------------------------------------------------


async def stored_in(store: CountingStore) -> House:
    """A house that keeps what worked there."""
    return await restarted(outfitted(await a_house(OLD), last_good=store), OLD)


def outfitted(house: House, **ports: Any) -> House:
    """The house with other ports, for its next process."""
    return replace(house, core=replace(house.core, world=replace(house.core.world, **ports)))


async def test_a_revision_is_written_once_and_its_time_now_and_then() -> None:
    store = CountingStore()
    house = await stored_in(store)
    for _ in range(20):
        await house.call(OK)
        await read_again(house)
    assert store.puts == 1
    house.core.probing.ask("k")
    await house.probe()
    await read_again(house)
    assert store.puts == 1
    house.clock.advance(REFRESH_S)
    house.core.probing.ask("k")
    await house.probe()
    await read_again(house)
    assert store.puts == 2
    (last,) = await store.all()
    assert last.authenticated_at == house.clock.now() - 1


async def test_a_store_that_fails_harms_nothing_and_is_tried_again() -> None:
    store = CountingStore()
    house = await stored_in(store)
    store.is_down = True
    await house.call(OK)
    for _ in range(3):
        await read_again(house)
    (event,) = await house.events("last_good_not_kept")
    assert event.message == "what worked last is not kept for a restart: the disk is full"
    store.is_down = False
    await read_again(house)
    assert await kept(house) == {"k": OLD.revision}


async def test_a_store_that_cannot_be_read_at_the_start_is_read_later() -> None:
    store = CountingStore()
    house = await stored_in(store)
    await house.call(OK)
    await read_again(house)
    store.is_down = True
    again = await restarted(house, NEW)
    assert await served(again) == "new"
    store.is_down = False
    await read_again(again)
    assert await served(again) == OLD.revision


async def test_without_a_sealing_key_nothing_is_kept_and_that_is_told() -> None:
    house = await worked()
    again = await restarted(outfitted(house, sealer=ClosedSealer("seal.key is missing")), NEW)
    assert await served(again) == "new"
    await again.call(OK)
    await read_again(again)
    assert await kept(again) == {"k": OLD.revision}
    (event,) = await again.events("last_good_not_kept")
    assert "seal.key is missing" in event.message


async def test_a_kept_secret_that_does_not_open_is_told_and_replaced_by_the_next() -> None:
    house = await worked()
    other = AesSealer.of_keys(b"another sealing key".ljust(32))
    again = await restarted(outfitted(house, sealer=other), new("c"))
    assert await served(again) == "c"
    assert [event.key_id for event in await again.events("last_good_unreadable")] == ["k"]
    await again.call(OK)
    await read_again(again)
    assert await kept(again) == {"k": "c"}


async def test_what_was_kept_of_another_provider_s_key_of_the_same_id_is_not_used() -> None:
    house = await worked()
    again = await restarted(house, new("new", a_key("k", "groq")))
    assert held(again) == ["new"]


async def test_what_worked_is_kept_before_the_next_second() -> None:
    """A broker that is killed right after the probes of its start falls back on them too."""
    house = await a_house(*(a_key(name) for name in "abc"))
    async for _ in house.core.probing.probe_now(house.core.keyring.keys()):
        pass
    await settle()
    assert set(await kept(house)) == set("abc")


async def test_what_is_due_is_written_before_the_end() -> None:
    store = CountingStore()
    house = await stored_in(store)
    await house.call(OK)
    await house.core.rotating.close()
    assert [last.revision for last in await store.all()] == [OLD.revision]


class BrokenStore(CountingStore):
    """Fails as no store may."""

    async def all(self) -> tuple[LastGood, ...]:
        return ()

    async def put(self, last_good: LastGood) -> None:
        raise RuntimeError("a bug")


async def test_a_bug_in_a_store_is_not_kept_quiet_and_stops_nothing() -> None:
    house = await stored_in(BrokenStore())
    await house.call(OK)
    assert house.core.rotating.saving is not None
    await asyncio.wait({house.core.rotating.saving})
    with pytest.raises(RuntimeError, match="a bug"):
        await house.core.refreshing.refresh()
    await asyncio.wait({house.core.rotating.saving})
    assert await served(house) == OLD.revision
