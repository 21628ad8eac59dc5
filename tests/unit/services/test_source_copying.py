"""A start without its sources serves from sealed copies, as long as these can be believed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.adapters.copies import FileSourceCopies
from broker.adapters.seal import AesSealer
from broker.core.key import KeyLimits
from broker.core.words import DenialReason
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_source import SourceFault
from broker.ports.source_copies import SourceCopies, SourceCopy
from broker.services.errors import SourceStaleError
from broker.services.source_copying import RENEW_S
from tests.fakes import FakeKeySource, settle
from tests.unit.services.house import AUTHENTICATED, REJECTED, House
from tests.unit.services.rotation_given import NEW, OLD, held, served
from tests.unit.services.sources_given import (
    STALE_S,
    RemoteSource,
    house_of,
    passes,
    told,
)
from tests.unit.services.status_given import a_key

OTHER = a_key("o")


class MemoryCopies(SourceCopies):
    """Copies that are gone with the process."""

    def __init__(self) -> None:
        self.kept: dict[str, SourceCopy] = {}
        self.puts = 0
        self.is_down = False

    async def get(self, source: str) -> SourceCopy | None:
        """As it was put."""
        self._check()
        return self.kept.get(source)

    async def put(self, copy: SourceCopy) -> None:
        """Keep it."""
        self._check()
        self.puts += 1
        self.kept[copy.source] = copy

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the disk is full")


def away(*keys: object) -> RemoteSource:
    """A source that cannot be read; it holds these keys."""
    source = RemoteSource(*keys)  # type: ignore[arg-type]
    source.is_down = True
    return source


async def copied(*keys: object) -> tuple[House, MemoryCopies]:
    """A house that read these keys, and kept a copy."""
    copies = MemoryCopies()
    house = await house_of(RemoteSource(*(keys or (OLD,))), copies=copies)  # type: ignore[arg-type]
    await settle()
    return house, copies


# --- Made -------------------------------------------------------------------------------------


async def test_a_copy_is_made_of_each_reading_that_changed_and_its_time_now_and_then() -> None:
    house, copies = await copied()
    assert copies.puts == 1
    await passes(house, RENEW_S - 60)
    assert copies.puts == 1
    house.source.keys = (OLD, OTHER)
    await house.core.refreshing.refresh()
    await settle()
    assert copies.puts == 2
    await passes(house, RENEW_S + 70)
    assert copies.puts == 3
    assert copies.kept["remote"].read_at > house.clock.now() - 140


async def test_no_copy_is_made_of_files_nor_of_what_a_faulty_reading_lost() -> None:
    copies = MemoryCopies()
    source = RemoteSource(OLD, OTHER)
    house = await house_of(source, FakeKeySource([a_key("l")]), copies=copies)
    source.keys, source.faults = (OTHER,), (SourceFault("x", "may not be read"),)
    await house.core.refreshing.refresh()
    await settle()
    assert {name: len(copy.snapshot.keys) for name, copy in copies.kept.items()} == {"remote": 2}


async def test_a_copy_that_cannot_be_made_is_told_once_and_tried_again() -> None:
    house, copies = await copied()
    copies.is_down, house.source.keys = True, (OLD, OTHER)
    await passes(house, 200)
    (event,) = await house.events("source_not_copied")
    assert event.message == "remote: no copy is kept for a start without it: the disk is full"
    copies.is_down = False
    await passes(house, 70)
    assert len(copies.kept["remote"].snapshot.keys) == 2


async def test_what_is_due_is_kept_before_the_end() -> None:
    copies = MemoryCopies()
    house = await house_of(RemoteSource(OLD), copies=copies)
    house.source.keys = (OLD, OTHER)
    await house.core.refreshing.refresh()
    await house.core.refreshing.close()
    assert len(copies.kept["remote"].snapshot.keys) == 2


# --- Used -------------------------------------------------------------------------------------


async def test_a_start_without_the_source_serves_from_the_copy_and_says_so() -> None:
    house, _ = await copied()
    house.clock.advance(600)
    again = await house_of(away(OLD), after=house)
    assert (await again.lease()).key == OLD
    (reading,) = again.core.refreshing.readings.values()
    assert (reading.is_from_copy, reading.read_at) == (True, house.clock.now() - 600)
    (event,) = await again.events("source_from_copy")
    assert event.message == (
        "remote: started with one key of a copy that is 10 min old: the source is switched off"
    )


async def test_the_source_takes_over_when_it_can_be_read() -> None:
    house, _ = await copied(OLD, OTHER)
    source = away(NEW, OTHER)
    again = await house_of(source, after=house)
    source.is_down = False
    await passes(again, 6)
    await again.probe()
    (reading,) = again.core.refreshing.readings.values()
    assert not reading.is_from_copy
    assert again.core.keyring.key("k") == NEW
    assert await told(again, "key_rotated", "source_mended", "key_added", "key_removed") == [
        "key_rotated",
        "source_mended",
    ]


async def test_what_a_copy_says_is_stale_when_it_is_too_old_in_all() -> None:
    house, _ = await copied()
    house.clock.advance(STALE_S - 100)
    again = await house_of(away(OLD), after=house)
    await passes(again, 99)
    await again.lease()
    await passes(again, 1)
    with pytest.raises(SourceStaleError):
        await again.acquire()


async def test_a_copy_that_is_too_old_is_refused_with_its_age() -> None:
    house, _ = await copied()
    house.clock.advance(STALE_S)
    again = await house_of(away(OLD), after=house)
    assert await again.refused() is DenialReason.NO_KEYS
    (event,) = await again.events("source_copy_refused")
    assert event.message == (
        "remote: the copy of its keys is not used: it is 1 h old, too old to be believed"
    )


async def test_a_copy_that_cannot_be_read_is_told() -> None:
    house, copies = await copied()
    copies.is_down = True
    again = await house_of(away(OLD), after=house)
    assert await again.refused() is DenialReason.NO_KEYS
    assert await told(again, "source_copy_refused", "source_from_copy") == ["source_copy_refused"]


async def test_a_source_that_does_not_answer_for_a_moment_is_replaced_by_its_copy() -> None:
    house, _ = await copied()
    source = RemoteSource(NEW)
    source.gate.clear()
    again = await house_of(source, after=house)
    assert (await again.lease()).key == OLD
    assert source.at_once == 1
    source.gate.set()
    await settle()
    await again.probe()
    assert await served(again) == "new"
    assert (source.loads, source.most_at_once) == (1, 1)


async def test_without_a_copy_the_start_waits_until_the_source_answers() -> None:
    source = RemoteSource(OLD)
    source.gate.clear()
    asyncio.get_running_loop().call_later(0.05, source.gate.set)
    house = await house_of(source, copies=MemoryCopies())
    assert (await house.lease()).key == OLD


async def test_keys_that_a_start_cannot_read_beside_others_come_from_the_copy() -> None:
    house, copies = await copied(OLD, OTHER)
    source = RemoteSource(replace(OTHER, weight=3.0))
    source.faults = (SourceFault("keybroker/k", "may not be read"),)
    again = await house_of(source, after=house)
    assert {key.key_id: key.weight for key in again.core.keyring.keys("")} == {"k": 1.0, "o": 3.0}
    (reading,) = again.core.refreshing.readings.values()
    assert not reading.is_from_copy
    assert reading.unconfirmed == {"k": copies.kept["remote"].read_at}


async def test_a_copy_brings_back_what_keys_had_before() -> None:
    copies = MemoryCopies()
    house = await house_of(RemoteSource(NEW, previous=[OLD]), copies=copies)
    await settle()
    again = await house_of(away(), after=house)
    assert held(again) == ["new", OLD.revision]
    again.prober.will_find("k", REJECTED, AUTHENTICATED)
    again.core.probing.ask("k", "new")
    await again.probe()
    await again.probe()
    assert await served(again) == OLD.revision


async def test_keys_of_providers_that_are_configured_no_more_are_left_out() -> None:
    house, copies = await copied(OLD)
    kept = copies.kept["remote"]
    strange = replace(a_key("s"), provider="gone")
    snapshot = replace(kept.snapshot, keys=(*kept.snapshot.keys, strange))
    copies.kept["remote"] = replace(kept, snapshot=snapshot)
    again = await house_of(away(OLD), after=house)
    assert [key.key_id for key in again.core.keyring.keys("")] == ["k"]


async def test_over_files_a_copy_gives_back_all_that_was_said_of_a_key(tmp_path: Path) -> None:
    full = replace(
        OLD,
        models={"gpt-*": "deployment"},
        weight=2.5,
        priority=-3,
        limits=KeyLimits(4, 60, 1000),
        account="team",
        expires_at=datetime(2026, 1, 2, tzinfo=UTC),
        base_url="https://elsewhere.test",
    )
    copies = FileSourceCopies(tmp_path / "copies", AesSealer.of_keys(bytes(32)), b"fingerprint")
    house = await house_of(RemoteSource(full, OTHER), copies=copies)
    await house.core.refreshing.close()
    again = await house_of(away(), after=house)
    assert again.core.keyring.keys("") == [full, OTHER]
