"""Each source is read in its own time, and a slow one holds up nobody."""

import asyncio

import pytest

from broker.core.key import Key
from broker.core.words import DenialReason
from broker.ports.key_source import SourceSnapshot
from broker.services.source_flights import RETRY_S
from tests.fakes import FakeKeySource, settle
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import REJECTED, House
from tests.unit.services.rotation_given import NEW, OLD, new, served
from tests.unit.services.sources_given import POLL_S, RemoteSource, house_of, passes, told
from tests.unit.services.status_given import a_key

LOCAL, MORE = a_key("l"), a_key("m")


async def quarantined(source: RemoteSource) -> House:
    house = await house_of(source)
    await house.call(BAD_KEY)
    return house


async def test_local_sources_are_read_every_second_and_remote_ones_when_they_are_due() -> None:
    local, remote = FakeKeySource([LOCAL]), RemoteSource(OLD)
    house = await house_of(local, remote)
    await passes(house, 50)
    assert (local.loads, remote.loads) == (51, 1)
    await passes(house, 20)
    assert remote.loads == 2


async def test_intervals_differ_by_a_tenth_up_and_down() -> None:
    sources = [RemoteSource(name=f"s{number}") for number in range(40)]
    house = await house_of(*sources)
    await passes(house, POLL_S * 0.9 - 1)
    assert {source.loads for source in sources} == {1}
    await passes(house, POLL_S * 0.1)
    assert {source.loads for source in sources} == {1, 2}
    await passes(house, POLL_S * 0.1 + 2)
    assert {source.loads for source in sources} == {2}


async def test_a_source_is_read_every_second_while_a_key_of_it_is_quarantined() -> None:
    source, other = RemoteSource(OLD), RemoteSource(LOCAL, name="other")
    house = await house_of(source, other)
    while (await house.lease(excluded=("l",))).key != OLD:
        pass
    await house.report(await house.lease(excluded=("l",)), BAD_KEY)
    house.prober.will_find("k", *[REJECTED] * 9)
    await passes(house, 10)
    assert (source.loads, other.loads) == (11, 1)


async def test_a_quarantined_key_serves_two_seconds_after_its_new_secret_is_there() -> None:
    source = RemoteSource(OLD)
    house = await quarantined(source)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    await passes(house, 5)
    assert await house.refused() is DenialReason.QUARANTINED
    source.keys = (NEW,)
    await passes(house, 1)
    await house.probe()
    assert await served(house) == "new"
    loads = source.loads
    await passes(house, 20)
    assert source.loads == loads


async def test_a_bogus_secret_over_one_that_works_is_no_reason_to_read_more_often() -> None:
    source = RemoteSource(OLD)
    house = await house_of(source)
    source.keys = (NEW,)
    house.prober.will_find("k", *[REJECTED] * 9)
    await house.core.refreshing.refresh()
    await house.probe()
    loads = source.loads
    await passes(house, 20)
    assert source.loads == loads
    assert await served(house) == OLD.revision


async def test_a_source_that_failed_is_read_again_sooner() -> None:
    source = RemoteSource(OLD)
    house = await house_of(source)
    source.is_down = True
    await house.core.refreshing.refresh()
    source.is_down, source.keys = False, (OLD, MORE)
    await passes(house, RETRY_S)
    assert len(house.core.keyring.keys()) == 2


async def test_a_source_that_hangs_holds_up_no_other_and_is_asked_no_second_time() -> None:
    local, remote = FakeKeySource([LOCAL]), RemoteSource(OLD)
    house = await house_of(local, remote)
    remote.gate.clear()
    local.keys = (LOCAL, MORE)
    await passes(house, 3 * POLL_S)
    assert house.core.keyring.find("m") == MORE
    assert (remote.loads, remote.at_once, remote.most_at_once) == (2, 1, 1)
    remote.keys = (NEW,)
    remote.gate.set()
    await settle()
    await house.probe()
    assert house.core.keyring.key("k") == NEW


async def test_who_asks_now_is_shown_what_is_there_now() -> None:
    """A reading that is under way may have seen what was there before."""
    source = RemoteSource(OLD)
    house = await house_of(source)
    source.gate.clear()
    house.core.refreshing.read_soon("remote")
    await settle()
    asking = [asyncio.create_task(house.core.refreshing.refresh()) for _ in range(3)]
    await settle()
    source.gate.set()
    await asyncio.gather(*asking)
    assert (source.loads, source.most_at_once) == (3, 1)


async def test_a_source_that_is_not_there_is_not_read() -> None:
    house = await house_of(RemoteSource(OLD))
    house.core.refreshing.read_soon("")
    house.core.refreshing.read_soon("another")
    assert house.source.loads == 1


async def test_the_end_waits_for_no_source() -> None:
    source = RemoteSource(OLD)
    house = await house_of(source)
    source.gate.clear()
    house.core.refreshing.read_soon("remote")
    house.core.refreshing.read_soon("remote")
    await settle()
    await house.core.refreshing.close()
    assert source.at_once == 0


async def test_at_the_start_keys_stay_with_the_source_that_comes_first() -> None:
    remote, local = RemoteSource(OLD, name="first"), FakeKeySource([OLD])
    house = await house_of(remote, local)
    assert house.core.keyring.source_of("k") == "first"


async def test_keys_that_come_when_a_source_is_there_at_last_are_counted_not_named() -> None:
    source = RemoteSource(OLD, LOCAL)
    source.is_down = True
    house = await house_of(source)
    assert await house.refused() is DenialReason.NO_KEYS
    source.is_down = False
    await passes(house, RETRY_S)
    assert await told(house, "source_read", "key_added") == ["source_read"]
    await house.call(OK)


async def test_a_rotation_is_told_with_the_version_that_its_source_names() -> None:
    source = RemoteSource(OLD)
    house = await house_of(source)
    source.keys, source.versions = (NEW,), {"k": "v-7"}
    await house.core.refreshing.refresh()
    (event,) = await house.events("key_rotated")
    assert event.message == "k: rotated in remote, version v-7"
    assert event.attributes == {"source": "remote", "revision": "new", "version": "v-7"}


class BuggySource(RemoteSource):
    """Fails as no source may, once it `is_down`."""

    async def load(self) -> SourceSnapshot:
        if self.is_down:
            raise RuntimeError("a bug")
        return await super().load()


async def test_a_bug_in_a_source_is_not_kept_quiet_and_stops_no_other() -> None:
    local, remote = FakeKeySource([LOCAL]), BuggySource(OLD)
    house = await house_of(local, remote)
    remote.is_down, local.keys = True, (LOCAL, MORE)
    with pytest.raises(RuntimeError, match="a bug"):
        await passes(house, 70)
    await passes(house, 1)
    assert house.core.keyring.find("m") == MORE


def ids(keys: list[Key]) -> list[str]:
    return [key.key_id for key in keys]


async def test_what_is_read_again_and_is_the_same_costs_nothing_and_stays() -> None:
    """Also where a key of it was refused because another source has it."""
    first, second = FakeKeySource([OLD], name="first"), FakeKeySource([OLD, LOCAL], name="second")
    house = await house_of(first, second)
    await passes(house, 2)
    first.keys = ()
    await passes(house, 2)
    assert ids(house.core.keyring.keys()) == ["k", "l"]
    assert house.core.keyring.source_of("k") == "second"
    second.keys = (new("x", LOCAL),)
    await passes(house, 1)
    assert ids(house.core.keyring.keys()) == ["l"]
