"""Rotations of replicas on one log: what one proves, all lease; what one lets go stays dead."""

import asyncio
from dataclasses import replace

from broker.core.facts import RevisionAdopted, RevisionRetired
from broker.core.words import DenialReason, Family, State
from broker.ports.mark_store import MarkKind
from broker.services.draining import DRAIN_S, LOOK_S
from broker.services.elsewhere import CHASE_S, FOLLOW_S
from broker.services.orphans import SHARED_EVERY_S, UNTRIED_S
from tests.fakes import settle
from tests.unit.services.answers import BAD_KEY, FORBIDDEN, MINI, OK
from tests.unit.services.house import INCONCLUSIVE, REJECTED, House
from tests.unit.services.rotation_given import NEW, OLD, held, new, read_again, saved, served
from tests.unit.services.sources_given import RemoteSource, house_of, passes, told
from tests.unit.services.status_given import a_key, whole

STORY = ("key_rotated", "revision_adopted", "revision_rejected", "revision_drained")


async def fleet(key: object = OLD) -> tuple[House, House]:
    """Two replicas that read a source each, and share everything else."""
    here = await house_of(RemoteSource(key), is_shared=True)  # type: ignore[arg-type]
    source = RemoteSource(key)  # type: ignore[arg-type]
    return here, await house_of(source, beside=here, name="there", is_shared=True)


async def reads(house: House, *keys: object) -> None:
    """The source of one replica gives these keys now."""
    house.source.keys = keys  # type: ignore[assignment]
    await house.core.refreshing.refresh()
    await house.probe()


def adopted(house: House) -> list[str]:
    facts = (logged.fact for logged in house.log.appended)
    return [fact.revision for fact in facts if isinstance(fact, RevisionAdopted)]


def retired(house: House) -> list[str]:
    facts = (logged.fact for logged in house.log.appended)
    return [fact.revision for fact in facts if isinstance(fact, RevisionRetired)]


# --- What another replica adopts --------------------------------------------------------------


async def test_what_one_replica_proves_the_others_read_and_lease_without_a_probe() -> None:
    here, there = await fleet()
    there.source.keys = (NEW,)
    await reads(here, NEW)
    await settle()
    assert await served(there) == "new"
    assert there.prober.calls == []
    assert there.source.loads == 2


async def test_a_rotation_of_a_fleet_is_adopted_and_told_once() -> None:
    here, there = await fleet()
    there.source.keys = (NEW,)
    await reads(here, NEW)
    await settle()
    assert (adopted(here), adopted(there)) == (["new"], [])
    assert await told(here, *STORY) == ["key_rotated", "revision_adopted", "key_rotated"]


async def test_replicas_that_adopt_at_the_same_moment_tell_it_once() -> None:
    here, there = await fleet()
    for house in (here, there):
        house.source.keys = (NEW,)
        await house.core.refreshing.refresh()
    for house in (here, there):
        house.core.probing.start_due()
    await settle()
    assert await told(here, "revision_adopted") == ["revision_adopted"]


async def test_a_revision_that_is_here_and_waits_is_taken_as_proved() -> None:
    here, there = await fleet()
    await there.core.marks.put(MarkKind.KEY_DISABLED, "k", "ann")
    await reads(there, NEW)
    await reads(here, NEW)
    assert there.prober.calls == []
    assert there.core.keyring.key("k") == NEW


async def test_a_source_that_is_behind_is_read_each_second_for_a_while() -> None:
    here, there = await fleet()
    await reads(here, NEW)
    await settle()
    loads = there.source.loads
    await passes(there, 5)
    assert there.source.loads == loads + 5
    there.source.keys = (NEW,)
    await passes(there, 1)
    assert await served(there) == "new"
    assert there.prober.calls == []


async def test_a_source_that_never_gives_it_is_not_chased_for_ever() -> None:
    """Replicas may read files of their own."""
    here, there = await fleet()
    await reads(here, NEW)
    await passes(there, CHASE_S)
    loads = there.source.loads
    await passes(there, 20)
    assert there.source.loads == loads
    assert await served(there) == OLD.revision


async def test_what_is_read_long_after_is_proved_here_again() -> None:
    here, there = await fleet()
    await reads(here, NEW)
    there.clock.advance(FOLLOW_S)
    await reads(there, NEW)
    assert there.prober.calls == [("k", "new")]


async def test_what_was_adopted_unproven_is_not_taken_as_proved() -> None:
    here, there = await fleet()
    here.prober.will_find("k", *[INCONCLUSIVE] * 9)
    there.prober.will_find("k", *[INCONCLUSIVE] * 9)
    await reads(here, NEW)
    await here.call(BAD_KEY)
    assert await served(here) == "new"
    await reads(there, NEW)
    assert there.core.keyring.is_unproven("k", "new")
    assert await served(there) == "new"


async def test_adoptions_of_earlier_runs_are_no_news() -> None:
    here, there = await fleet()
    there.source.keys = (NEW,)
    await reads(here, NEW)
    here.clock.advance(5)
    later = await house_of(RemoteSource(OLD), beside=here, name="later", is_shared=True)
    assert later.source.loads == 1
    assert later.core.rotating.elsewhere.adopted == {}


# --- What another replica lets go -------------------------------------------------------------


async def test_a_dead_secret_stays_dead_where_the_new_one_has_not_been_read_yet() -> None:
    """One replica replaced it and forgot its health for all."""
    here, there = await fleet()
    await here.call(BAD_KEY)
    assert await there.refused() is DenialReason.QUARANTINED
    there.prober.will_find("k", *[REJECTED] * 9)
    there.source.is_down = True
    await reads(here, NEW)
    assert retired(here) == [OLD.revision]
    for _ in range(5):
        assert await there.refused() is DenialReason.QUARANTINED
        await passes(there)
        await there.probe()
    there.source.is_down, there.source.keys = False, (NEW,)
    await passes(there, 6)
    await there.probe()
    assert await served(there) == "new"
    for house in (here, there):
        assert house.circuit(whole(OLD), Family.CREDENTIAL) is None


async def test_a_secret_that_works_again_by_then_heals_by_its_probe() -> None:
    here, there = await fleet()
    await here.call(BAD_KEY)
    there.source.is_down = True
    await reads(here, NEW)
    await there.probe()
    there.clock.advance(60)
    await there.probe()
    assert await served(there) == OLD.revision


async def test_a_bogus_secret_that_one_replica_dropped_is_not_leased_by_another() -> None:
    here, there = await fleet()
    for house in (here, there):
        await house.call(OK)
        house.prober.will_find("k", *[REJECTED] * 9)
        await reads(house, NEW)
    there.source.is_down = True
    await reads(here, OLD)
    assert retired(here) == ["new"]
    await there.call(BAD_KEY)
    for _ in range(5):
        assert await there.refused() is DenialReason.QUARANTINED
        await passes(there)
        await there.probe()


async def test_a_secret_that_works_and_drained_elsewhere_serves_on() -> None:
    here, there = await fleet()
    await there.report(await there.lease(MINI), FORBIDDEN)
    there.source.is_down = True
    await reads(here, NEW)
    loads = there.source.loads
    await read_again(here, DRAIN_S)
    await settle()
    assert retired(here) == [OLD.revision]
    assert there.source.loads == loads + 1
    assert await served(there) == OLD.revision
    assert list(there.core.health.circuits()) == []


async def test_all_replicas_object_with_one_voice() -> None:
    here, there = await fleet()
    third = await house_of(RemoteSource(OLD), beside=here, name="third", is_shared=True)
    await here.call(BAD_KEY)
    for house in (there, third):
        house.source.is_down = True
        house.prober.gate = asyncio.Event()
    await reads(here, NEW)
    await settle()
    views = [house.core.health.of("openai").replica for house in (here, there, third)]
    assert len({repr(sorted(map(repr, view.confirmed.circuits()))) for view in views}) == 1
    assert third.state(whole(OLD), Family.CREDENTIAL) is State.OPEN


# --- One database -----------------------------------------------------------------------------


async def test_a_draining_secret_is_kept_as_long_as_others_may_have_leases_on_it() -> None:
    here, _ = await fleet()
    await reads(here, NEW)
    for _ in range(5):
        await read_again(here, LOOK_S)
    assert held(here) == ["new", OLD.revision]
    await read_again(here, DRAIN_S)
    assert held(here) == ["new"]
    assert await told(here, "revision_drained") == ["revision_drained"]


async def test_what_worked_last_for_others_is_not_forgotten_for_them() -> None:
    here, there = await fleet()
    await here.call(OK)
    await read_again(here)
    other = await house_of(RemoteSource(a_key("o")), beside=here, name="other", is_shared=True)
    for _ in range(5):
        await read_again(other, 60)
    await saved(other)
    assert [last.key_id for last in await there.core.world.last_good.all()] == ["k"]


async def test_health_that_others_may_need_is_retired_when_nobody_tries_its_key_for_a_day() -> None:
    theirs = replace(OLD, key_id="openai/theirs")
    here, _ = await fleet(theirs)
    await here.call(BAD_KEY)
    other = await house_of(RemoteSource(a_key("o")), beside=here, name="other", is_shared=True)
    await read_again(other, 3600)
    assert retired(other) == []
    here.source.is_down = True
    other.clock.advance(UNTRIED_S)
    await read_again(other, SHARED_EVERY_S)
    assert retired(other) == [theirs.revision]


async def test_a_third_secret_in_a_row_is_followed_too() -> None:
    here, there = await fleet()
    for key in (NEW, new("third")):
        there.source.keys = (key,)
        await reads(here, key)
        await settle()
    assert (await served(here), await served(there)) == ("third", "third")
    assert adopted(there) == []
