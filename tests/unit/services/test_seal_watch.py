"""Sealing keys from second to second: readiness, agreement, and what people are told."""

from pathlib import Path

import pytest

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.memory import MemoryEventHistory
from broker.adapters.seal import AesKeyWrapper, AesSealer, SealingKeyring, load_sealer
from broker.services.journal import Journal
from broker.services.seal_fleet import SEALING_KEY, SealFleet
from broker.services.seal_watch import LOOK_S, NOT_READY, SealWatch
from broker.services.tally import Tally
from tests.fakes import FakeMeter
from tests.unit.services.seal_given import NEW, NEW_ID, OLD, OLD_ID, Kept


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "seal.key", Purpose.SEAL)


def put(file: KeyFile, *keys: bytes) -> None:
    file.path.write_text("".join(f"keybroker-seal-1 {key.hex()}\n" for key in keys))
    file.path.chmod(0o600)


class Rig:
    """One broker's watch, over a real key file."""

    def __init__(self, kept: Kept, sealer: SealingKeyring, *, is_shared: bool) -> None:
        self.kept, self.sealer = kept, sealer
        self.history = MemoryEventHistory()
        journal = Journal(self.history, FakeMeter(), Tally(kept.clock))
        fleet = SealFleet(kept.agreements, kept.clock, "here", is_shared)
        self.watch = SealWatch(sealer, kept.rows, fleet, journal, kept.clock)
        self.heard = 0
        self.watch.listen(self._hear)

    def _hear(self) -> None:
        self.heard += 1

    async def ticks(self, seconds: int) -> None:
        for _ in range(seconds):
            self.kept.clock.advance(1.0)
            await self.watch.on_tick()

    async def events(self) -> list[str]:
        page, _ = await self.history.page(before=None, limit=100)
        return [event.kind for event in reversed(page)]


async def a_rig(kept: Kept, file: KeyFile, *, is_shared: bool = False) -> Rig:
    sealed_by = await kept.rows.inner.sealed_by()
    sealer = await load_sealer(file, sealed_by, may_make=not is_shared)
    return Rig(kept, sealer, is_shared=is_shared)


async def test_a_broker_whose_tenants_keys_do_not_open_is_not_ready_until_they_do(
    file: KeyFile,
) -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    rig = await a_rig(kept, file)
    await rig.watch.begin()
    assert rig.watch.reason == NOT_READY
    assert await rig.events() == ["seal_closed"]
    put(file, OLD)
    await rig.ticks(1)
    assert rig.watch.reason == ""
    assert rig.heard == 1
    await rig.ticks(4)
    assert await rig.events() == ["seal_closed", "seal_opened"]
    assert rig.heard == 1


async def test_a_sealed_broker_without_tenants_keys_is_ready(file: KeyFile) -> None:
    kept = Kept()
    await kept.add_last_good(AesSealer.of_keys(OLD), "sys/1")
    rig = await a_rig(kept, file)
    await rig.watch.begin()
    assert rig.sealer.fault
    assert rig.watch.reason == ""


async def test_whether_there_are_tenants_keys_is_not_guessed_in_favour(file: KeyFile) -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    rig = await a_rig(kept, file)
    kept.rows.is_down = True
    await rig.watch.begin()
    assert rig.watch.reason == NOT_READY


async def test_a_broker_that_was_ready_stays_so_whatever_becomes_of_the_file(
    file: KeyFile,
) -> None:
    kept = Kept()
    rig = await a_rig(kept, file)
    await rig.watch.begin()
    await kept.add(AesSealer.of_keys(OLD), "a")
    file.path.write_text("garbage")
    await rig.ticks(2)
    assert await rig.events() == []
    await rig.ticks(2)
    assert await rig.events() == ["sealing_key_faulted"]
    assert (rig.watch.reason, rig.sealer.fault) == ("", "")
    await rig.ticks(60)
    assert await rig.events() == ["sealing_key_faulted"]


async def test_the_first_broker_says_which_key_seals_and_the_next_ones_follow(
    file: KeyFile,
) -> None:
    kept = Kept()
    put(file, OLD, NEW)
    first = await a_rig(kept, file, is_shared=True)
    await first.watch.begin()
    put(file, NEW, OLD)
    second = await a_rig(kept, file, is_shared=True)
    assert second.sealer.current == NEW_ID
    await second.watch.begin()
    assert first.sealer.current == second.sealer.current == OLD_ID


async def test_another_agreement_is_followed_at_the_next_tick_when_told_else_soon(
    file: KeyFile,
) -> None:
    kept = Kept()
    put(file, OLD, NEW)
    rig = await a_rig(kept, file, is_shared=True)
    await rig.watch.begin()
    await kept.agreements.put(SEALING_KEY, NEW_ID)
    rig.watch.note_agreed()
    await rig.ticks(1)
    assert rig.sealer.current == NEW_ID
    await kept.agreements.put(SEALING_KEY, OLD_ID)
    await rig.ticks(int(LOOK_S) + 1)
    assert rig.sealer.current == OLD_ID


async def test_a_broker_of_a_fleet_without_the_agreed_key_seals_nothing_until_it_comes(
    file: KeyFile,
) -> None:
    kept = Kept()
    await kept.agreements.put(SEALING_KEY, NEW_ID)
    put(file, OLD)
    rig = await a_rig(kept, file, is_shared=True)
    await rig.watch.begin()
    assert NEW_ID in rig.sealer.fault
    put(file, OLD, NEW)
    await rig.ticks(1)
    assert (rig.sealer.fault, rig.sealer.current) == ("", NEW_ID)


async def test_a_broker_that_is_alone_forgets_an_agreement_on_a_key_that_sealed_nothing(
    file: KeyFile,
) -> None:
    kept = Kept()
    await kept.agreements.put(SEALING_KEY, NEW_ID)
    put(file, OLD)
    rig = await a_rig(kept, file)
    await rig.watch.begin()
    assert (rig.sealer.fault, rig.sealer.current) == ("", OLD_ID)
    assert await kept.agreements.get(SEALING_KEY) == OLD_ID


async def test_an_agreement_on_a_key_that_sealed_something_is_never_forgotten(
    file: KeyFile,
) -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(NEW), "a")
    await kept.add(AesSealer.of_keys(OLD), "b")
    await kept.agreements.put(SEALING_KEY, NEW_ID)
    put(file, OLD)
    rig = await a_rig(kept, file)
    await rig.watch.begin()
    assert NEW_ID in rig.sealer.fault
    assert await kept.agreements.get(SEALING_KEY) == NEW_ID


async def test_a_closed_broker_opens_when_another_one_has_forgotten_what_was_lost(
    file: KeyFile,
) -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    put(file, NEW)
    rig = await a_rig(kept, file, is_shared=True)
    await rig.watch.begin()
    assert rig.watch.reason == NOT_READY
    await kept.keys.delete("a")
    await rig.ticks(int(LOOK_S) + 1)
    assert (rig.watch.reason, rig.sealer.current) == ("", NEW_ID)


async def test_a_database_that_does_not_answer_only_delays_it(file: KeyFile) -> None:
    kept = Kept()
    await kept.add(AesSealer.of_keys(OLD), "a")
    rig = await a_rig(kept, file)
    kept.rows.is_down = True
    await rig.watch.begin()
    await rig.ticks(10)
    put(file, OLD)
    await rig.ticks(1)
    assert rig.sealer.current == AesKeyWrapper(OLD).key_id
