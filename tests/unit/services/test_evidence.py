"""Evidence, then width: what a report says of a credential is answered by a probe."""

import asyncio

import pytest

from broker.core.scope import Scope
from broker.core.words import DenialReason, Family, Kind, State
from broker.ports.prober import Probed
from tests.fakes import settle
from tests.unit.services.answers import (
    BAD_KEY,
    LIMITED,
    MINI,
    OK,
    OPEN,
    STRANGE,
    WEAK_401,
)
from tests.unit.services.house import (
    INCONCLUSIVE,
    REJECTED,
    UNREACHED,
    House,
    a_house,
)
from tests.unit.services.status_given import a_key, on_model, whole

KEY = a_key("k")
QUARANTINE = (whole(KEY), Family.CREDENTIAL)
RESTRICTION = (on_model(KEY), Family.ACCESS)


async def circuits(house: House) -> list[tuple[Scope, Family]]:
    return [(record.scope, record.family) for record in house.core.health.circuits()]


# --- CERTAIN ----------------------------------------------------------------------------------


async def test_a_certain_report_quarantines_the_key_at_once_on_all_models() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    assert await house.refused() is DenialReason.QUARANTINED
    assert await house.refused(MINI) is DenialReason.QUARANTINED


async def test_a_rejecting_probe_confirms_a_quarantine() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    record = house.circuit(*QUARANTINE)
    assert record is not None
    assert record.confirmed
    assert record.evidence_at is None
    assert record.level == 1
    await house.probe()
    assert len(house.prober.calls) == 1


async def test_a_contradicted_quarantine_becomes_a_denial_on_the_model_of_who_reported() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.probe()
    assert house.state(*QUARANTINE) is State.RAMPING
    record = house.circuit(*RESTRICTION)
    assert record is not None
    assert record.kind is Kind.PERMISSION_DENIED
    assert await house.refused() is DenialReason.RESTRICTED
    await house.lease(MINI)
    (event,) = await house.events("evidence_contradicted")
    assert (event.principal, event.key_id, event.model) == ("gateway", "k", "gpt-4o")


async def test_a_quarantine_is_probed_when_its_time_is_over_and_healed_by_that() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", REJECTED, REJECTED)
    await house.probe()
    house.clock.advance(17)
    await house.probe()
    record = house.circuit(*QUARANTINE)
    assert record is not None
    assert record.level == 2
    house.clock.advance(17)
    await house.probe()
    assert len(house.prober.calls) == 2
    house.clock.advance(17)
    await house.probe()
    assert house.state(*QUARANTINE) is State.RAMPING
    assert await circuits(house) == [QUARANTINE]
    await house.lease()
    assert house.meter.counts["recovered", Family.CREDENTIAL, "probe"] == 1


async def test_no_customer_tries_a_quarantined_key_that_a_probe_can_prove() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    house.clock.advance(3600)
    assert house.state(*QUARANTINE) is State.HALF_OPEN
    assert await house.refused() is DenialReason.QUARANTINED


@pytest.mark.parametrize("found", [INCONCLUSIVE, UNREACHED])
async def test_a_probe_that_proves_nothing_changes_nothing_and_is_made_again(found: Probed) -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", found, REJECTED)
    await house.probe()
    record = house.circuit(*QUARANTINE)
    assert record is not None
    assert not record.confirmed
    assert record.level == 1
    house.clock.advance(1)
    await house.probe()
    record = house.circuit(*QUARANTINE)
    assert record is not None
    assert record.confirmed


async def test_after_three_probes_that_proved_nothing_a_customer_tries_the_key() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", *[INCONCLUSIVE] * 3)
    for pause_s in (0, 1, 2):
        house.clock.advance(pause_s)
        await house.probe()
    house.clock.advance(14)
    trial = await house.lease()
    assert trial.claims.is_trial
    assert await house.refused() is DenialReason.TRIAL_BUSY
    await house.report(trial, LIMITED)
    denial = await house.denial()
    assert denial.reason is DenialReason.QUARANTINED
    assert house.state(*QUARANTINE) is State.OPEN


async def test_a_customers_trial_heals_a_quarantine_where_probes_prove_nothing() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", *[INCONCLUSIVE] * 3)
    for pause_s in (0, 1, 2):
        house.clock.advance(pause_s)
        await house.probe()
    house.clock.advance(14)
    await house.call(OK)
    assert house.state(*QUARANTINE) is State.RAMPING


async def test_probes_that_did_not_reach_the_provider_are_no_reason_for_a_customers_trial() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", *[UNREACHED] * 5)
    for _ in range(5):
        await house.probe()
        house.clock.advance(16)
    assert await house.refused() is DenialReason.QUARANTINED


async def test_where_no_probe_authenticates_a_customer_tries_the_key_at_once() -> None:
    house = await a_house(a_key("p", "public"))
    await house.call(BAD_KEY, OPEN)
    await house.probe()
    assert house.prober.calls == []
    house.clock.advance(17)
    await house.call(BAD_KEY, OPEN)
    assert await house.refused(OPEN) is DenialReason.QUARANTINED
    house.clock.advance(34)
    await house.call(OK, OPEN)
    await house.lease(OPEN)


# --- WEAK -------------------------------------------------------------------------------------


async def test_a_weak_report_restricts_the_key_on_that_model_only() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401)
    assert await house.refused() is DenialReason.RESTRICTED
    await house.lease(MINI)
    assert await circuits(house) == [RESTRICTION]


async def test_a_rejecting_probe_widens_weak_evidence_to_the_key() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    assert await circuits(house) == [QUARANTINE]
    assert await house.refused(MINI) is DenialReason.QUARANTINED


async def test_widening_is_no_recovery() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    assert house.meter.counts["recovered", Family.ACCESS, "probe"] == 0
    assert len(await house.events("circuit_opened")) == 2
    assert len(await house.events("evidence_widened")) == 1
    assert await house.events("circuit_cleared") == []


async def test_an_authenticating_probe_leaves_weak_evidence_as_a_denial_and_says_whose() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401)
    await house.probe()
    assert await circuits(house) == [RESTRICTION]
    record = house.circuit(*RESTRICTION)
    assert record is not None
    assert record.kind is Kind.PERMISSION_DENIED
    (event,) = await house.events("evidence_contradicted")
    assert (event.principal, event.model) == ("gateway", "gpt-4o")


async def test_an_inconclusive_probe_leaves_weak_evidence_as_it_is() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401)
    house.prober.will_find("k", INCONCLUSIVE, REJECTED)
    await house.probe()
    assert await circuits(house) == [RESTRICTION]
    house.clock.advance(1)
    await house.probe()
    assert await circuits(house) == [QUARANTINE]


async def test_a_probe_that_started_before_the_evidence_does_not_answer_it() -> None:
    house = await a_house(KEY)
    house.prober.gate = asyncio.Event()
    house.core.probing.ask("k")
    await house.probe()
    house.clock.advance(1)
    await house.call(WEAK_401)
    house.prober.gate.set()
    await settle()
    record = house.circuit(*RESTRICTION)
    assert record is not None
    assert record.evidence_at is not None
    await house.probe()
    assert len(house.prober.calls) == 2
    record = house.circuit(*RESTRICTION)
    assert record is not None
    assert record.evidence_at is None


# --- Strangers --------------------------------------------------------------------------------


async def test_the_evidence_of_a_strange_model_is_answered_and_told_as_any_other() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401, STRANGE)
    await house.probe()
    (event,) = await house.events("evidence_contradicted")
    assert (event.principal, event.model) == ("gateway", "made-up")
    assert await house.refused(STRANGE) is DenialReason.RESTRICTED


async def test_the_evidence_of_a_strange_model_is_widened_by_a_rejecting_probe() -> None:
    house = await a_house(KEY)
    await house.call(WEAK_401, STRANGE)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    assert await circuits(house) == [QUARANTINE]
    assert await house.refused() is DenialReason.QUARANTINED
