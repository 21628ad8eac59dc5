"""Reports by a gateway that lies: each test is what a lie once did to the others."""

from dataclasses import replace

from broker.core.scope import key_scope
from broker.core.words import DenialReason, Family, State
from broker.ports.mark_store import MarkKind
from tests.unit.services.answers import BAD_KEY, EXHAUSTED, OK
from tests.unit.services.house import GATEWAY, OTHER, House, a_house
from tests.unit.services.status_given import a_key

KEY = a_key("k")
CREDENTIAL = (key_scope(KEY.provider, KEY.key_id, KEY.revision), Family.CREDENTIAL)
LIE = replace(BAD_KEY, started_ago_s=0.0)


async def test_one_ended_lease_quarantined_a_key_again_and_again() -> None:
    """Nobody calls with a lease that has ended: what it reports is as old as its end."""
    house = await a_house(KEY)
    lease = await house.lease(by=OTHER)
    await house.report(lease, OK, by=OTHER)
    house.clock.advance(5.0)
    await house.report(lease, LIE, by=OTHER)
    await house.probe()
    house.clock.advance(5.0)
    assert house.state(*CREDENTIAL) is State.RAMPING
    for _ in range(10):
        await house.report(lease, LIE, by=OTHER)
        assert house.state(*CREDENTIAL) is not State.OPEN


async def test_a_revoked_principal_still_spoke_of_keys() -> None:
    """Its reports are answered and teach nothing."""
    house = await a_house(KEY)
    lease = await house.lease(by=OTHER)
    await house.core.marks.put(MarkKind.PRINCIPAL_REVOKED, OTHER.name, "operator")
    await house.report(lease, LIE, by=OTHER)
    assert house.state(*CREDENTIAL) is State.CLOSED
    await house.lease(by=GATEWAY)


async def test_repeats_of_one_request_were_trials_of_their_own() -> None:
    """However often a request asks again, a half-open circuit has one trial."""
    house = await _half_open()
    leases = [await house.lease(request_id="r") for _ in range(5)]
    assert len({lease.claims.uid for lease in leases}) == 1
    assert await house.refused(request_id="another") is DenialReason.TRIAL_BUSY


async def _half_open() -> House:
    house = await a_house(KEY)
    await house.call(EXHAUSTED)
    house.clock.advance(1000.0)
    return house


async def test_a_revoked_principals_trial_ends_without_proving_anything() -> None:
    """Its permit is free at once, and its word heals nothing."""
    house = await _half_open()
    trial = await house.lease(by=OTHER)
    assert trial.claims.is_trial
    await house.core.marks.put(MarkKind.PRINCIPAL_REVOKED, OTHER.name, "operator")
    await house.report(trial, OK, by=OTHER)
    assert (await house.lease(by=GATEWAY)).claims.is_trial
