"""Sealing everything anew: nothing is lost, nothing is left, and it goes on where it was."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from broker.adapters.memory import MemoryEventHistory
from broker.adapters.seal import AesSealer, ClosedSealer
from broker.core.secret import Secret
from broker.ports.errors import SealClosedError, StoreUnavailableError
from broker.ports.sealer import RotatingSealer
from broker.services.errors import InvalidFieldError, SealingKeyMissingError
from broker.services.journal import Journal
from broker.services.opening import Opening, binding_of
from broker.services.resealing import Resealing
from broker.services.seal_fleet import SEAL_ROTATION, SEALING_KEY, SealFleet
from broker.services.seal_walk import SealProgress
from broker.services.tally import Tally
from tests.fakes import FakeMeter, eventually
from tests.unit.services.seal_given import NEW, NEW_ID, OLD, OLD_ID, Kept, walked

BOTH = (OLD, NEW)


class Rig:
    """One broker that can rotate."""

    def __init__(
        self, kept: Kept, sealer: RotatingSealer | None = None, *, is_shared: bool = False
    ) -> None:
        self.kept = kept
        self.sealer = sealer or AesSealer.of_keys(*BOTH)
        self.history = MemoryEventHistory()
        journal = Journal(self.history, FakeMeter(), Tally(kept.clock))
        opening = Opening(self.sealer, journal, kept.clock)
        fleet = SealFleet(kept.agreements, kept.clock, "here", is_shared)
        self.resealing = Resealing(self.sealer, kept.rows, fleet, opening, journal, kept.clock)

    async def rotate(self, key_id: str = NEW_ID) -> list[SealProgress]:
        return await walked(self.resealing.rotate("alice", key_id), self.kept.clock)

    async def events(self) -> list[tuple[str, str]]:
        page, _ = await self.history.page(before=None, limit=100)
        return [(event.kind, event.key_id) for event in reversed(page)]


async def opened(kept: Kept, sealer: AesSealer) -> list[str]:
    """Every key's secret."""
    secrets = []
    for key in await kept.keys.page(after=("", ""), limit=1000):
        for revision in key.revisions:
            secret = await sealer.open(revision.sealed, binding_of(key, revision))
            secrets.append(secret.reveal())
    return secrets


async def test_everything_is_sealed_anew_and_opens_with_the_new_key_alone() -> None:
    kept = Kept()
    names = [f"k{number:03}" for number in range(450)]
    await kept.add(AesSealer.of_keys(OLD), *names)
    await kept.add_last_good(AesSealer.of_keys(OLD), "sys/1")
    rig = Rig(kept)
    told = await rig.rotate()
    assert (told[0].key_id, told[0].done, told[0].total) == (NEW_ID, 0, 451)
    assert (told[-1].is_last, told[-1].done, told[-1].unreadable) == (True, 451, ())
    assert await kept.rows.counts() == {NEW_ID: 451}
    assert await opened(kept, AesSealer.of_keys(NEW)) == [f"sk-{name}" for name in names]
    assert await rig.events() == [("seal_rotation_begun", ""), ("seal_rotated", "")]
    assert await kept.agreements.get(SEALING_KEY) == NEW_ID
    assert rig.sealer.current == NEW_ID


async def test_without_a_name_a_key_is_made_and_next_time_another() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    rig = Rig(kept, AesSealer.of_keys(OLD))
    first = (await rig.rotate(""))[-1].key_id
    second = (await rig.rotate(""))[-1].key_id
    assert len({OLD_ID, first, second}) == 3
    assert await kept.rows.counts() == {second: 1}


async def test_a_rotation_that_was_broken_off_goes_on_to_the_same_key() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), *"abc")
    await kept.agreements.put(SEAL_ROTATION, NEW_ID)
    rig = Rig(kept)
    assert (await rig.rotate(""))[-1].key_id == NEW_ID
    assert await kept.rows.counts() == {NEW_ID: 3}
    assert (await rig.rotate(""))[-1].key_id != NEW_ID


async def test_whoever_leaves_ends_the_rotation_which_goes_on_when_called_again() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), *(f"k{number}" for number in range(300)))
    rig = Rig(kept)
    news = rig.resealing.rotate("alice", NEW_ID)
    assert (await anext(news)).key_id == NEW_ID
    await news.aclose()
    assert rig.sealer.current == NEW_ID
    assert (await rig.rotate(""))[-1].key_id == NEW_ID
    assert await kept.rows.counts() == {NEW_ID: 300}


async def test_a_secret_that_changes_meanwhile_is_not_lost() -> None:
    kept = Kept()
    old = AesSealer.of_keys(OLD)
    await kept.add(old, "a", "b")

    async def others() -> AsyncGenerator[None, None]:
        key = await kept.keys.key("a")
        assert key is not None
        moved = replace(key.settings, base_url="https://eu.example/v1")
        there = replace(key, settings=moved)
        [revision] = key.revisions
        sealed = await old.seal(Secret("sk-moved"), binding_of(there, revision))
        await kept.keys.update("a", moved, 0.0, {revision.revision: sealed})
        await kept.keys.delete("b")
        yield

    kept.rows.before_replace.append(others())
    await Rig(kept).rotate()
    assert await kept.rows.counts() == {NEW_ID: 1}
    assert await opened(kept, AesSealer.of_keys(NEW)) == ["sk-moved"]


async def test_what_was_sealed_with_the_old_key_a_moment_late_is_sealed_anew_too() -> None:
    kept = Kept()
    rig = Rig(kept)
    news = asyncio.create_task(rig.rotate())
    await eventually(lambda: kept.rows.pages > 0)
    await kept.add(AesSealer.of_keys(OLD), "late")
    await news
    assert await kept.rows.counts() == {NEW_ID: 1}


async def test_what_does_not_open_is_named_told_once_and_left_as_it_is() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a", "b", "c")
    await kept.add(AesSealer.of_keys(b"\3" * 32), "lost")
    await kept.spoil("b")
    before = await kept.keys.key("b")
    rig = Rig(kept)
    last = (await rig.rotate())[-1]
    assert [row.name.key_id for row in last.unreadable] == ["b", "lost"]
    assert last.done == 2
    assert await kept.keys.key("b") == before
    assert await rig.events() == [
        ("seal_rotation_begun", ""),
        ("key_unreadable", "b"),
        ("seal_rotated", ""),
    ]


async def test_very_many_that_do_not_open_are_named_in_several_messages() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(b"\3" * 32), *(f"k{number:04}" for number in range(1100)))
    told = await Rig(kept).rotate()
    named = [row.name.key_id for progress in told for row in progress.unreadable]
    assert len(named) == len(set(named)) == 1100
    assert max(len(progress.unreadable) for progress in told) == 500
    assert [progress.is_last for progress in told].count(True) == 1


async def test_a_store_that_fails_for_a_while_only_delays_it() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), *"abc")
    rig = Rig(kept)
    news = asyncio.create_task(rig.rotate())
    await eventually(lambda: rig.sealer.current == NEW_ID)
    kept.rows.fails = 4
    await news
    assert await kept.rows.counts() == {NEW_ID: 3}


async def test_a_store_that_stays_away_ends_it_and_it_goes_on_later() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), *"abc")
    rig = Rig(kept)
    news = asyncio.create_task(rig.rotate())
    await eventually(lambda: rig.sealer.current == NEW_ID)
    kept.rows.is_down = True
    with pytest.raises(StoreUnavailableError):
        await news
    kept.rows.is_down = False
    assert (await rig.rotate(""))[-1].key_id == NEW_ID
    assert await kept.rows.counts() == {NEW_ID: 3}


async def test_two_rotations_at_once_take_turns_and_two_brokers_do_no_harm() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), *(f"k{number}" for number in range(250)))
    here, there = Rig(kept), Rig(kept)
    await asyncio.gather(here.rotate(), here.rotate(), there.rotate())
    assert await kept.rows.counts() == {NEW_ID: 250}


async def test_a_key_that_is_not_at_hand_here_seals_nothing() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    rig = Rig(kept, AesSealer.of_keys(OLD))
    with pytest.raises(SealingKeyMissingError, match=f"{NEW_ID} is not at hand") as caught:
        await rig.rotate()
    assert caught.value.metadata == {"sealing_key_id": NEW_ID, "replicas": ""}
    assert await kept.agreements.get(SEALING_KEY) is None
    assert await rig.events() == []


async def test_a_key_that_another_broker_lacks_seals_nothing_and_the_broker_is_named() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    await kept.attend("there", OLD_ID)
    await kept.attend("here", OLD_ID)
    rig = Rig(kept, is_shared=True)

    async def beat() -> None:
        while True:
            await kept.clock.sleep(5.0)
            await kept.attend("there", OLD_ID)

    beating = asyncio.create_task(beat())
    with pytest.raises(SealingKeyMissingError, match="not at hand at there") as caught:
        await rig.rotate()
    beating.cancel()
    assert caught.value.metadata["replicas"] == "there"
    assert await kept.rows.counts() == {OLD_ID: 1}
    assert rig.sealer.current == OLD_ID


async def test_a_broker_that_was_just_given_the_key_is_waited_for() -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    await kept.attend("there", OLD_ID)
    rig = Rig(kept, is_shared=True)

    async def find() -> None:
        await kept.clock.sleep(6.0)
        await kept.attend("there", OLD_ID, NEW_ID)

    finding = asyncio.create_task(find())
    assert (await rig.rotate())[-1].done == 1
    await finding


async def test_where_the_broker_makes_no_keys_one_must_be_named() -> None:
    class Given(AesSealer):
        async def make(self) -> str:
            raise SealClosedError("name the key")

    with pytest.raises(InvalidFieldError, match="key_id: name the key"):
        await Rig(Kept(), Given.of_keys(OLD)).rotate("")


async def test_a_sealed_broker_rotates_nothing() -> None:
    with pytest.raises(SealClosedError, match="it is missing"):
        await Rig(Kept(), ClosedSealer("it is missing")).rotate()
