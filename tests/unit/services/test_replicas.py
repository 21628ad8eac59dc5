"""Replicas of one fleet: what one hears, all know; what the log does not take, it takes later."""

from dataclasses import replace

import pytest

from broker.core.health import Counts
from broker.core.scope import Upstream, upstream_scope
from broker.core.words import DenialReason, Family, LeaseState, State
from tests.unit.services.answers import (
    BAD_KEY,
    EXHAUSTED,
    FAULT,
    FORBIDDEN,
    LIMITED,
    OK,
    STRANGE,
    UNREACHABLE,
    WEAK_401,
    said,
)
from tests.unit.services.house import OTHER, REJECTED, House, a_house
from tests.unit.services.status_given import a_key, on_model, whole

KEY = a_key("k")
UPSTREAM = upstream_scope(Upstream("openai", "", "gpt-4o"))


async def fleet() -> tuple[House, House]:
    here = await a_house(KEY)
    return here, await a_house(name="there", beside=here)


def view(house: House) -> list[str]:
    """Everything a replica knows of circuits, as text."""
    records = house.core.health.of("openai").replica.view.circuits()
    return sorted(repr(record) for record in records)


# --- What one hears, all know -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("bad-key", DenialReason.QUARANTINED),
        ("no-money", DenialReason.EXHAUSTED),
        ("limit", DenialReason.COOLING_DOWN),
        ("forbidden", DenialReason.RESTRICTED),
    ],
)
async def test_a_key_that_failed_at_one_replica_is_not_leased_at_another(
    code: str, reason: DenialReason
) -> None:
    here, there = await fleet()
    await here.call(said(code))
    assert await there.refused() is reason
    assert view(here) == view(there)


async def test_a_key_that_another_replica_set_aside_comes_back_when_it_heals_here() -> None:
    here, there = await fleet()
    await here.call(BAD_KEY)
    assert await there.refused() is DenialReason.QUARANTINED
    here.prober.will_find("k", REJECTED)
    await here.probe()
    here.clock.advance(17)
    await there.probe()
    await here.lease()
    await there.lease()
    assert view(here) == view(there)


async def test_a_report_is_judged_by_a_replica_that_never_saw_the_grant() -> None:
    here, there = await fleet()
    lease = await here.lease()
    answer = await there.report(lease, BAD_KEY)
    assert answer.lease_state is LeaseState.KEY_UNUSABLE
    assert await here.refused() is DenialReason.QUARANTINED


async def test_slots_are_given_back_by_a_replica_that_never_saw_the_grant() -> None:
    capped = a_key("c", slots=1)
    here = await a_house(capped)
    there = await a_house(name="there", beside=here)
    lease = await here.lease()
    assert await there.refused() is DenialReason.AT_CAPACITY
    assert (await there.report(lease, OK)).lease_state is LeaseState.ENDED
    await there.lease()


async def test_events_and_counters_are_told_by_the_replica_whose_fact_it_was() -> None:
    here, there = await fleet()
    await here.call(LIMITED)
    assert [event.kind for event in await here.events()] == ["circuit_opened"]
    assert await there.events() == []
    moved = ("transitioned", "openai", Family.LIMIT, State.CLOSED, State.OPEN, "RATE_LIMITED")
    assert here.meter.counts[moved] == 1
    assert there.meter.counts[moved] == 0


async def test_what_changes_nothing_is_not_logged() -> None:
    here, there = await fleet()
    leases = [await here.lease(), await there.lease()]
    await here.call(EXHAUSTED)
    for house, lease in zip((here, there), leases, strict=True):
        await house.report(lease, EXHAUSTED)
    assert len(here.log.appended) + len(there.log.appended) == 1


# --- Upstream counts --------------------------------------------------------------------------


async def test_faults_that_replicas_see_little_of_add_up() -> None:
    here, there = await fleet()
    for house in (here, there):
        for _ in range(4):
            await house.calls(1, OK)
            await house.calls(1, FAULT)
        await house.tick()
    assert here.counts() == there.counts() == Counts(succeeded=8, failed=8)
    await here.calls(1, OK)
    await here.tick(1)
    await there.calls(1, OK)
    await there.calls(2, FAULT)
    assert there.state(UPSTREAM, Family.HEALTH) is State.OPEN
    assert await here.refused() is DenialReason.UPSTREAM_OPEN


async def test_successes_are_not_published_while_there_is_no_fault() -> None:
    here, there = await fleet()
    await here.calls(5, OK)
    await here.tick(1)
    assert here.log.appended == []
    await here.call(FAULT)
    await here.tick(1)
    assert there.counts() == Counts(succeeded=5, failed=1)


async def test_a_fault_that_is_taken_back_is_taken_back_everywhere() -> None:
    here, there = await fleet()
    await here.report(await here.lease(request_id="r"), FAULT)
    await here.tick(1)
    assert there.counts() == Counts(failed=1)
    second = await here.lease(request_id="r")
    await here.tick(1)
    assert there.counts() == Counts()
    await here.report(second, OK)
    await here.tick(1)
    assert here.counts() == Counts(succeeded=1)


async def test_a_window_starts_empty_at_a_reopening_on_every_replica() -> None:
    here, there = await fleet()
    await here.calls(10, FAULT)
    await here.tick(1)
    await there.tick(19)
    await there.call(OK)
    assert here.counts() == there.counts() == Counts()


async def test_a_replica_that_saw_no_traffic_starts_with_an_empty_window_as_well() -> None:
    here, there = await fleet()
    for _ in range(10):
        await here.calls(1, OK)
        await here.calls(1, FAULT)
    await here.tick(1)
    here.clock.advance(19)
    await here.call(OK)
    here.clock.advance(12)
    await there.call(FAULT)
    assert there.state(UPSTREAM, Family.HEALTH) is not State.OPEN
    assert there.counts() == Counts(failed=1)


async def test_principals_of_two_replicas_that_reach_nothing_agree() -> None:
    here, there = await fleet()
    await there.calls(3, UNREACHABLE, by=OTHER)
    await there.tick(1)
    await here.calls(10, UNREACHABLE)
    assert here.state(UPSTREAM, Family.HEALTH) is State.OPEN


# --- A log that does not answer ---------------------------------------------------------------


async def test_what_the_log_refuses_is_known_here_and_logged_when_it_is_back() -> None:
    here, there = await fleet()
    here.log.is_down = True
    await here.call(BAD_KEY)
    assert await here.refused() is DenialReason.QUARANTINED
    assert here.core.health.pending_facts == 1
    assert await here.events() == []
    await there.lease()
    here.log.is_down = False
    await here.tick(1)
    assert here.core.health.pending_facts == 0
    assert await there.refused() is DenialReason.QUARANTINED
    assert view(here) == view(there)
    assert len(await here.events("circuit_opened")) == 1


async def test_a_fact_that_waited_is_as_old_as_it_is() -> None:
    here, there = await fleet()
    here.log.is_down = True
    await here.call(said("limit", 429, retry_after="90"))
    here.clock.advance(60)
    here.log.is_down = False
    await here.tick()
    record = there.circuit(on_model(KEY), Family.LIMIT)
    assert record is not None
    assert record.opened_at == there.clock.now() - 60
    assert view(here) == view(there)


async def test_a_key_that_died_while_the_log_was_away_for_long_is_told_of_as_any_other() -> None:
    here, _ = await fleet()
    here.log.is_down = True
    await here.call(BAD_KEY)
    here.clock.advance(600)
    here.log.is_down = False
    await here.tick()
    (event,) = await here.events("circuit_opened")
    assert (event.key_id, event.attributes["from"]) == ("k", "closed")
    assert len(await here.events("incident_opened")) == 1


async def test_replicas_that_both_heard_converge_when_the_log_is_back() -> None:
    here, there = await fleet()
    leases = [await here.lease() for _ in range(4)]
    here.log.is_down = there.log.is_down = True
    await here.report(leases[0], BAD_KEY)
    await there.report(leases[1], EXHAUSTED)
    await there.report(leases[2], WEAK_401)
    there.clock.advance(2)
    await here.report(leases[3], FORBIDDEN)
    there.log.is_down = False
    await there.tick()
    here.log.is_down = False
    await here.tick()
    assert view(here) == view(there)
    assert len(view(here)) == 3


async def test_a_slow_log_holds_an_answer_up_for_fifty_milliseconds_at_most() -> None:
    here, _ = await fleet()
    here.log.delay_s = 3600
    answer = await here.call(BAD_KEY)
    assert answer.lease_state is LeaseState.KEY_UNUSABLE
    assert here.core.health.pending_facts == 1
    here.log.delay_s = 0
    await here.clock.elapse(3600)
    assert here.core.health.pending_facts == 0


async def test_a_replica_that_joins_late_knows_what_was_logged() -> None:
    here = await a_house(KEY)
    await here.call(BAD_KEY)
    late = await a_house(name="late", beside=here)
    assert await late.refused() is DenialReason.QUARANTINED
    assert view(here) == view(late)


async def test_a_probe_of_one_replica_answers_the_evidence_of_another() -> None:
    here, there = await fleet()
    await here.call(WEAK_401)
    there.prober.will_find("k", REJECTED)
    await there.probe()
    assert here.state(whole(KEY), Family.CREDENTIAL) is State.OPEN
    await here.probe()
    assert here.prober.calls == []


async def test_the_strange_evidence_of_one_replica_is_answered_by_the_probe_of_another() -> None:
    here, there = await fleet()
    await here.call(WEAK_401, STRANGE)
    there.core.probing.ask("k")
    there.prober.will_find("k", REJECTED)
    await there.probe()
    assert [record.scope for record in here.core.health.circuits()] == [whole(KEY)]
    assert len(await here.events("evidence_widened")) == 1


async def test_a_rotation_that_one_replica_saw_first_leaves_no_endless_probes_behind() -> None:
    here, there = await fleet()
    lease = await there.lease()
    await here.has_keys(replace(KEY, revision="new"))
    await there.report(lease, BAD_KEY)
    for _ in range(3):
        await here.probe()
        here.clock.advance(20)
    assert sorted(here.prober.calls) == [("k", "new"), ("k", KEY.revision)]
    assert (await here.lease()).claims.revision == "new"
