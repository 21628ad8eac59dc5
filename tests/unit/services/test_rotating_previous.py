"""What a source says a key had before: a fallback for a start on a wrong secret."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.words import DenialReason, Family, LeaseState
from broker.ports.mark_store import MarkKind
from broker.services.deciding import PATIENCE_S
from broker.services.draining import DRAIN_S, LOOK_S
from tests.fakes import FakeKeySource
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import (
    AUTHENTICATED,
    GATEWAY,
    INCONCLUSIVE,
    REJECTED,
    House,
    a_house,
)
from tests.unit.services.rotation_given import NEW, OLD, held, new, read_again, saved, served
from tests.unit.services.sources_given import RemoteSource, house_of, told
from tests.unit.services.status_given import a_key, whole

REVISION = ("revision_adopted", "revision_rejected", "revision_unproved", "revision_restored")


async def started(*found: object, source: FakeKeySource | None = None) -> House:
    """A house that starts on NEW, which was OLD before; probes find these, and then it decided."""
    house = await house_of(source or RemoteSource(NEW, previous=[OLD]))
    house.prober.will_find("k", *found)  # type: ignore[arg-type]
    await decided(house)
    return house


async def decided(house: House) -> float:
    """Let the start wait as long as it does; in seconds."""
    began = house.clock.now()
    waiting = asyncio.create_task(house.core.deciding.wait())
    for _ in range(200):
        await house.probe()
        if waiting.done():
            break
        house.clock.advance(0.1)
    await waiting
    return house.clock.now() - began


# --- At the start -----------------------------------------------------------------------------


async def test_a_start_on_a_bogus_secret_costs_no_call() -> None:
    house = await started(REJECTED, AUTHENTICATED)
    assert await served(house) == OLD.revision
    assert house.prober.calls == [("k", "new"), ("k", OLD.revision)]
    assert await told(house, *REVISION) == ["revision_rejected", "revision_adopted"]


async def test_a_bogus_secret_falls_back_on_one_before_that_the_source_tells_of_late() -> None:
    source = RemoteSource(NEW)
    house = await started(REJECTED, AUTHENTICATED, source=source)
    await house.call(BAD_KEY)
    await house.probe()
    assert await house.refused() is DenialReason.QUARANTINED
    source.previous = (OLD,)
    await read_again(house)
    await house.probe()
    assert await served(house) == OLD.revision


async def test_a_secret_that_was_accepted_is_given_none_before_it_any_more() -> None:
    source = RemoteSource(NEW)
    house = await started(AUTHENTICATED, source=source)
    await house.call(OK)
    source.previous = (OLD,)
    await read_again(house)
    assert house.core.keyring.revision("k", OLD.revision) is None


async def test_a_start_on_a_right_secret_asks_nothing_about_the_one_before() -> None:
    house = await started(AUTHENTICATED)
    assert await served(house) == "new"
    assert house.prober.calls == [("k", "new")]
    assert await told(house, *REVISION) == []


async def test_one_before_that_is_dead_as_well_is_told_of_no_rotation() -> None:
    house = await started(REJECTED, REJECTED)
    assert await house.refused() is DenialReason.QUARANTINED
    assert await told(house, *REVISION) == []
    house.prober.will_find("k", REJECTED, AUTHENTICATED)
    house.clock.advance(17)
    await house.probe()
    assert house.core.keyring.key("k").revision in {"new", OLD.revision}
    await house.lease()


@pytest.mark.parametrize("before", [AUTHENTICATED, REJECTED])
async def test_a_new_one_that_proves_nothing_serves_unless_the_one_before_works(
    before: object,
) -> None:
    house = await started(INCONCLUSIVE, before)
    expected = OLD.revision if before is AUTHENTICATED else "new"
    assert await served(house) == expected


async def test_the_start_waits_until_probes_have_told_and_no_longer() -> None:
    house = await house_of(RemoteSource(NEW, previous=[OLD]))
    house.prober.gate = asyncio.Event()
    assert await decided(house) == pytest.approx(PATIENCE_S, abs=0.11)
    assert await served(house) == "new"
    house.prober.gate.set()
    await house.probe()
    assert await decided(house) == 0.0


@pytest.mark.parametrize(
    "source",
    [
        RemoteSource(NEW),
        RemoteSource(a_key("k", "public"), previous=[a_key("k", "public", revision="before")]),
        FakeKeySource([OLD]),
    ],
    ids=["no fallback", "no probe that tells", "a file"],
)
async def test_the_start_waits_for_nothing_where_there_is_nothing_to_decide(
    source: FakeKeySource,
) -> None:
    house = await house_of(source)
    house.prober.gate = asyncio.Event()
    await house.core.deciding.wait()


async def test_the_start_does_not_wait_for_keys_that_are_disabled() -> None:
    house = await house_of(RemoteSource(NEW, previous=[OLD]))
    await house.core.marks.put(MarkKind.KEY_DISABLED, "k", "ann")
    await house.core.deciding.wait()
    assert house.prober.calls == []


async def test_the_start_waits_where_what_worked_last_may_be_revoked() -> None:
    """Rotated while no broker ran: neither secret is leased before it is known which works."""
    house = await house_of(RemoteSource(OLD))
    await house.call(OK)
    await saved(house)
    again = await house_of(RemoteSource(NEW), after=house)
    assert await decided(again) == 0.0
    assert await served(again) == "new"


# --- Together with what worked last -----------------------------------------------------------


async def test_one_before_that_worked_last_here_serves_until_the_new_one_is_proved() -> None:
    house = await house_of(RemoteSource(OLD))
    await house.call(OK)
    await saved(house)
    again = await house_of(RemoteSource(NEW, previous=[OLD]), after=house)
    assert held(again) == ["new", OLD.revision]
    assert await served(again) == OLD.revision
    again.prober.will_find("k", INCONCLUSIVE, AUTHENTICATED)
    await decided(again)
    assert await served(again) == OLD.revision
    await read_again(again)
    await again.probe()
    assert await served(again) == "new"


async def test_what_worked_last_goes_before_what_merely_came_before() -> None:
    house = await house_of(RemoteSource(OLD))
    await house.call(OK)
    await saved(house)
    between = new("between")
    again = await house_of(RemoteSource(NEW, previous=[between]), after=house)
    again.prober.will_find("k", REJECTED)
    await decided(again)
    assert held(again) == ["new", "between", OLD.revision]
    assert await served(again) == OLD.revision
    assert again.prober.calls == [("k", "new")]


# --- While it is known ------------------------------------------------------------------------


async def test_leases_of_an_earlier_run_on_the_one_before_live_on_while_it_drains() -> None:
    first = await house_of(RemoteSource(OLD))
    lease = await first.lease()
    house = await house_of(RemoteSource(NEW, previous=[OLD]), after=first)
    await decided(house)
    for _ in range(5):
        await read_again(house, LOOK_S)
    await house.core.leasing.renew(GATEWAY, lease.lease_id, 300)
    answer = await house.report(lease, OK, keep_lease=True)
    assert answer.lease_state is LeaseState.LIVE
    await read_again(house, DRAIN_S)
    assert held(house) == ["new"]
    assert await told(house, "revision_drained") == []


async def test_what_is_reported_against_the_one_before_ends_it_quietly() -> None:
    first = await house_of(RemoteSource(OLD))
    lease = await first.lease()
    house = await house_of(RemoteSource(NEW, previous=[OLD]), after=first)
    await decided(house)
    await house.report(lease, BAD_KEY)
    assert held(house) == ["new"]
    assert house.circuit(whole(OLD), Family.CREDENTIAL) is None
    assert await served(house) == "new"


async def test_the_one_before_stays_while_only_settings_change() -> None:
    source = RemoteSource(NEW, previous=[OLD])
    house = await house_of(source)
    source.keys = (replace(NEW, weight=2.0),)
    await house.core.refreshing.refresh()
    assert held(house) == ["new", OLD.revision]


async def test_the_one_before_goes_when_a_third_is_given() -> None:
    source = RemoteSource(NEW, previous=[OLD])
    house = await house_of(source)
    source.keys = (a_key("k", revision="third"),)
    await house.core.refreshing.refresh()
    assert held(house) == ["third", "new"]


async def test_going_back_to_the_one_before_makes_it_the_declared_one() -> None:
    source = RemoteSource(NEW, previous=[OLD])
    house = await house_of(source)
    source.keys, source.previous = (OLD,), (NEW,)
    await house.core.refreshing.refresh()
    await house.probe()
    assert await served(house) == OLD.revision


async def test_a_secret_that_another_key_has_now_is_no_fallback() -> None:
    other = replace(OLD, key_id="other")
    house = await house_of(RemoteSource(NEW, other, previous=[OLD]))
    assert held(house) == ["new"]


async def test_a_proven_secret_that_is_rejected_at_runtime_does_not_bring_back_the_one_before() -> (
    None
):
    house = await started(AUTHENTICATED)
    house.prober.will_find("k", REJECTED)
    await house.call(BAD_KEY)
    await read_again(house)
    await house.probe()
    assert await house.refused() is DenialReason.QUARANTINED


async def test_a_house_without_remote_sources_decides_at_once() -> None:
    house = await a_house(OLD)
    await house.core.deciding.wait()
    await house.lease()
