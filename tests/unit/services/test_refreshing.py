"""Sources are read anew: what changed takes effect at once, what is gone leaves no trace."""

import asyncio
from dataclasses import replace

from broker.core.words import DenialReason, Family
from broker.ports.key_source import SourceFault
from broker.services.draining import LOOK_S
from broker.services.retirement import RETIRE_AFTER_S
from tests.unit.services.answers import BAD_KEY, GPT, LIMITED, MINI, NO_MODEL, OK, STRANGE
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key, on_model, whole

KEY, OTHER_KEY = a_key("k"), a_key("o")


async def kinds(house: House) -> list[str]:
    return [event.kind for event in await house.events()]


async def test_a_new_key_is_leased_at_once() -> None:
    house = await a_house()
    assert await house.refused() is DenialReason.NO_KEYS
    await house.has_keys(KEY)
    assert (await house.lease()).key == KEY


async def test_a_rotation_retires_all_health_of_the_old_revision() -> None:
    house = await a_house(KEY)
    limited, strange = await house.lease(MINI), await house.lease(STRANGE)
    await house.report(limited, LIMITED)
    await house.report(strange, NO_MODEL)
    await house.call(BAD_KEY)
    await house.has_keys(replace(KEY, revision="new"))
    await house.probe()
    assert list(house.core.health.circuits()) == []
    for target in (GPT, MINI, STRANGE):
        assert (await house.lease(target)).claims.revision == "new"
    assert (await kinds(house))[-1] == "incident_closed"


async def test_a_rotation_counts_as_what_healed_the_key() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.has_keys(replace(KEY, revision="new"))
    await house.probe()
    assert house.meter.counts["recovered", Family.CREDENTIAL, "revision"] == 1


async def test_what_is_reported_of_an_old_revision_teaches_nothing() -> None:
    house = await a_house(KEY)
    early = await house.lease()
    new = replace(KEY, revision="new")
    await house.has_keys(new)
    await house.probe()
    house.clock.advance(LOOK_S)
    await house.report(early, OK)
    await house.has_keys(new)
    await house.report(early, BAD_KEY)
    assert house.circuit(whole(KEY), Family.CREDENTIAL) is None
    await house.lease()


async def test_a_removed_key_is_not_leased_and_leaves_nothing_behind() -> None:
    house = await a_house(KEY, OTHER_KEY)
    await house.report(await house.lease(excluded=("o",)), BAD_KEY)
    await house.has_keys(OTHER_KEY)
    for _ in range(5):
        assert (await house.lease()).key == OTHER_KEY
    house.clock.advance(RETIRE_AFTER_S)
    await house.has_keys(OTHER_KEY)
    assert list(house.core.health.circuits()) == []
    assert len(await house.events("key_removed")) == 1


async def test_a_quarantined_key_that_a_half_written_file_lost_is_still_quarantined() -> None:
    """A file that is rewritten in place looks empty for a moment."""
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.has_keys()
    house.clock.advance(1.0)
    await house.has_keys(KEY)
    house.clock.advance(RETIRE_AFTER_S)
    await house.has_keys(KEY)
    assert await house.refused() is DenialReason.QUARANTINED


async def test_a_key_whose_settings_changed_keeps_its_health() -> None:
    house = await a_house(KEY)
    await house.call(LIMITED)
    await house.has_keys(replace(KEY, weight=2.0))
    assert house.circuit(on_model(KEY), Family.LIMIT) is not None
    assert await house.refused() is DenialReason.COOLING_DOWN
    assert "key_rotated" not in await kinds(house)


async def test_a_source_that_cannot_be_read_keeps_what_it_last_said() -> None:
    house = await a_house(KEY)
    read_at = house.clock.now()
    house.source.is_down = True
    house.clock.advance(60)
    (reading,) = await house.core.refreshing.refresh()
    assert [fault.place for fault in reading.refreshed.faults] == [house.source.name]
    assert reading.read_at == read_at
    assert (await house.lease()).key == KEY
    house.source.is_down = False
    (reading,) = await house.core.refreshing.refresh()
    assert reading.refreshed.faults == ()
    assert reading.read_at == read_at + 60


async def test_a_fault_is_told_once_and_again_when_it_comes_again() -> None:
    house = await a_house(KEY)
    house.source.faults = (SourceFault(".env:3", "no value"),)
    for _ in range(3):
        await house.core.refreshing.refresh()
    assert [event.message for event in await house.events("source_faulty")] == [".env:3: no value"]
    house.source.faults = ()
    await house.core.refreshing.refresh()
    house.source.faults = (SourceFault(".env:3", "no value"),)
    await house.core.refreshing.refresh()
    assert len(await house.events("source_faulty")) == 2


async def test_the_end_of_faults_is_told_when_none_is_left() -> None:
    house = await a_house(KEY)
    house.source.faults = (SourceFault(".env:3", "no value"), SourceFault(".env:4", "no value"))
    await house.core.refreshing.refresh()
    house.source.faults = house.source.faults[:1]
    await house.core.refreshing.refresh()
    assert await house.events("source_mended") == []
    house.source.faults = ()
    for _ in range(3):
        await house.core.refreshing.refresh()
    assert len(await house.events("source_mended")) == 1


async def test_a_message_about_a_secret_names_its_revision_and_says_when_that_is_gone() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.has_keys(replace(KEY, revision="new"))
    await house.probe()
    told = {event.kind: event.message for event in await house.events()}
    assert told["circuit_opened"] == (
        f"{KEY.key_id}: quarantined, closed to open (INVALID_CREDENTIAL, revision {KEY.revision})"
    )
    assert told["revision_retired"] == (
        f"{KEY.key_id}: revision {KEY.revision}, which was quarantined, is not in use any more"
    )


async def test_keys_are_counted_at_the_start_and_told_one_by_one_when_they_are_added() -> None:
    house = await a_house(KEY)
    await house.has_keys(KEY, OTHER_KEY)
    told, _ = await house.core.world.history.page(before=None, limit=10)
    assert [(event.kind, event.message) for event in reversed(told)] == [
        ("source_read", f"{house.source.name}: started with one key"),
        ("key_added", f"{OTHER_KEY.key_id}: added in {house.source.name}"),
    ]


async def test_an_outage_of_a_source_is_told_once() -> None:
    house = await a_house(KEY)
    house.source.is_down = True
    for _ in range(3):
        await house.core.refreshing.refresh()
    assert len(await house.events("source_faulty")) == 1


async def test_sources_are_read_one_refresh_at_a_time() -> None:
    house = await a_house(KEY)
    loads = house.source.loads
    await asyncio.gather(house.core.refreshing.refresh(), house.core.refreshing.refresh())
    assert house.source.loads == loads + 2
