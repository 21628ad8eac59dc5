"""A lease lives until it is reported, released, revoked or over, and never again."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from broker.core.outcome import Outcome
from broker.core.words import Family, LeaseState
from broker.ports.mark_store import MarkKind
from broker.services.acquisition import Grant
from broker.services.errors import (
    KeyUnusableError,
    LeaseEndedError,
    LeaseExpiredError,
    LeaseUnknownError,
)
from tests.fakes import START
from tests.unit.services.answers import (
    BAD_KEY,
    EXHAUSTED,
    FORBIDDEN,
    INTERIM,
    LIMITED,
    OK,
    WEAK_401,
)
from tests.unit.services.house import GATEWAY, OTHER, House, a_house
from tests.unit.services.status_given import a_key, whole

KEY = a_key("k")
CAPPED = a_key("k", slots=2)


async def renew(house: House, grant: Grant, ttl_s: float = 300.0) -> float:
    """The end of a lease that is surely renewed."""
    renewed = await house.core.leasing.renew(GATEWAY, grant.lease_id, ttl_s)
    return renewed.ends_at - house.clock.now()


async def state(house: House, grant: Grant) -> LeaseState:
    return house.core.leasing.state(grant.claims, house.clock.now())


# --- Terms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked_s", "granted_s"), [(60.0, 60.0), (900.0, 900.0), (7200.0, 900.0)])
async def test_a_grant_lasts_as_long_as_asked_and_at_most_fifteen_minutes(
    asked_s: float, granted_s: float
) -> None:
    house = await a_house(KEY)
    grant = await house.lease(ttl_s=asked_s)
    assert grant.claims.ends_at == START + granted_s


async def test_a_grant_lasts_five_minutes_where_nothing_was_asked() -> None:
    house = await a_house(KEY)
    assert (await house.lease()).claims.ends_at == START + 300


async def test_a_renewal_is_the_same_lease_with_a_later_end_and_another_id() -> None:
    house = await a_house(KEY)
    grant = await house.lease()
    house.clock.advance(200)
    renewed = await house.core.leasing.renew(GATEWAY, grant.lease_id, 7200)
    assert renewed.ends_at == START + 1100
    assert renewed.lease_id != grant.lease_id
    claims = house.core.leasing.tokens.open(renewed.lease_id, GATEWAY)
    assert replace(claims, granted_at=START, ends_at=START + 300) == grant.claims


async def test_a_renewal_never_shortens_a_lease() -> None:
    house = await a_house(KEY)
    grant = await house.lease(ttl_s=900)
    assert await renew(house, grant, 10) == 900
    house.clock.advance(500)
    assert await state(house, grant) is LeaseState.LIVE


async def test_renewals_end_an_hour_after_the_first_grant() -> None:
    house = await a_house(KEY)
    grant = await house.lease(ttl_s=900)
    for _ in range(3):
        house.clock.advance(890)
        assert await renew(house, grant, 900) == 900
    house.clock.advance(890)
    assert await renew(house, grant, 900) == pytest.approx(40)
    house.clock.advance(40)
    with pytest.raises(LeaseExpiredError):
        await renew(house, grant)


async def test_the_first_id_of_a_lease_stays_good_for_renewals() -> None:
    house = await a_house(KEY)
    grant = await house.lease(ttl_s=300)
    await renew(house, grant, 900)
    house.clock.advance(600)
    await house.tick()
    assert await renew(house, grant, 900) == 900


# --- No resurrection --------------------------------------------------------------------------


async def test_a_lease_that_is_over_cannot_be_renewed() -> None:
    house = await a_house(KEY)
    grant = await house.lease()
    house.clock.advance(300)
    with pytest.raises(LeaseExpiredError):
        await renew(house, grant)


@pytest.mark.parametrize("how", ["reported", "released"])
async def test_a_lease_that_was_ended_cannot_be_renewed(how: str) -> None:
    house = await a_house(KEY)
    grant = await house.lease()
    if how == "reported":
        await house.report(grant, OK)
    else:
        await house.core.leasing.release(GATEWAY, grant.lease_id)
    with pytest.raises(LeaseEndedError):
        await renew(house, grant)
    assert await state(house, grant) is LeaseState.ENDED
    assert house.meter.counts["ended", how] == 1


async def test_a_swept_lease_stays_ended_under_its_renewed_id() -> None:
    house = await a_house(KEY)
    grant = await house.lease()
    renewed = await house.core.leasing.renew(GATEWAY, grant.lease_id, 400)
    await house.tick(402)
    with pytest.raises((LeaseEndedError, LeaseExpiredError)):
        await house.core.leasing.renew(GATEWAY, renewed.lease_id, 300)
    assert house.meter.counts["ended", "expired"] == 1


# --- Who may still use it ---------------------------------------------------------------------


async def quarantine(house: House, grant: Grant) -> None:
    await house.report(await house.lease(), BAD_KEY)


async def disable(house: House, grant: Grant) -> None:
    await house.core.marks.put(MarkKind.KEY_DISABLED, "k", "ops")


async def revoke(house: House, grant: Grant) -> None:
    await house.core.marks.put(MarkKind.PRINCIPAL_REVOKED, "gateway", "ops")


async def remove(house: House, grant: Grant) -> None:
    await house.has_keys()


@pytest.mark.parametrize(
    ("kill", "cause"),
    [(quarantine, "quarantined"), (disable, "disabled"), (revoke, "revoked"), (remove, "removed")],
)
async def test_a_lease_on_a_key_that_is_unusable_says_so_and_is_not_renewed(
    kill: Callable[[House, Grant], Awaitable[None]], cause: str
) -> None:
    house = await a_house(KEY)
    grant = await house.lease()
    await kill(house, grant)
    with pytest.raises(KeyUnusableError, match=cause):
        await renew(house, grant)
    assert (await house.report(grant, OK)).lease_state is LeaseState.KEY_UNUSABLE


@pytest.mark.parametrize("outcome", [LIMITED, EXHAUSTED, FORBIDDEN, WEAK_401])
async def test_a_lease_on_a_key_in_lesser_trouble_is_renewed(outcome: Outcome) -> None:
    house = await a_house(KEY)
    grant = await house.lease()
    await house.report(await house.lease(), outcome)
    assert await renew(house, grant) == 300


async def test_leases_granted_after_a_revocation_live() -> None:
    house = await a_house(KEY)
    before = await house.lease(tenant="t")
    await house.core.marks.put(MarkKind.TENANT_REVOKED, "t", "ops")
    assert await state(house, before) is LeaseState.KEY_UNUSABLE
    house.clock.advance(1)
    assert await state(house, await house.lease(tenant="t")) is LeaseState.LIVE
    assert await state(house, await house.lease(tenant="u")) is LeaseState.LIVE


async def test_a_lease_on_a_secret_that_was_rotated_away_is_told_so() -> None:
    house = await a_house(KEY)
    held = await house.lease()
    await quarantine(house, held)
    await house.has_keys(replace(KEY, revision="new"))
    await house.probe()
    answer = await house.report(held, BAD_KEY, keep_lease=True)
    assert answer.lease_state is LeaseState.KEY_UNUSABLE
    with pytest.raises(KeyUnusableError, match="removed"):
        await renew(house, held)
    assert house.circuit(whole(KEY), Family.CREDENTIAL) is None


# --- Held leases, ends ------------------------------------------------------------------------


async def test_a_held_lease_serves_many_requests_until_its_last_report() -> None:
    house = await a_house(CAPPED)
    held = await house.lease()
    for _ in range(3):
        assert (await house.report(held, OK, keep_lease=True)).lease_state is LeaseState.LIVE
        assert house.slots_in_use(CAPPED) == 1
    assert (await house.report(held, OK)).lease_state is LeaseState.ENDED
    assert house.slots_in_use(CAPPED) == 0
    assert house.meter.counts["ended", "reported"] == 1


async def test_an_interim_report_does_not_end_a_lease() -> None:
    house = await a_house(CAPPED)
    lease = await house.lease()
    assert (await house.report(lease, INTERIM)).lease_state is LeaseState.LIVE
    assert house.slots_in_use(CAPPED) == 1


async def test_what_a_lease_held_is_free_when_it_expires() -> None:
    house = await a_house(CAPPED)
    for _ in range(2):
        await house.lease()
    await house.tick(302)
    assert house.slots_in_use(CAPPED) == 0
    assert len(house.core.book) == 0
    assert house.meter.counts["ended", "expired"] == 2


async def test_releasing_twice_or_too_late_changes_nothing() -> None:
    house = await a_house(CAPPED)
    lease, late = await house.lease(), await house.lease()
    for _ in range(2):
        await house.core.leasing.release(GATEWAY, lease.lease_id)
    assert house.meter.counts["ended", "released"] == 1
    await house.tick(400)
    await house.core.leasing.release(GATEWAY, late.lease_id)
    assert house.meter.counts["ended", "released"] == 1


async def test_nobody_but_its_principal_may_renew_release_or_report_a_lease() -> None:
    house = await a_house(KEY)
    lease = await house.lease()
    with pytest.raises(LeaseUnknownError):
        await house.core.leasing.renew(OTHER, lease.lease_id, 300)
    with pytest.raises(LeaseUnknownError):
        await house.core.leasing.release(OTHER, lease.lease_id)
    with pytest.raises(LeaseUnknownError):
        await house.report(lease, OK, by=OTHER)
    assert await state(house, lease) is LeaseState.LIVE


# --- Late reports -----------------------------------------------------------------------------


async def test_a_report_teaches_until_ten_minutes_after_the_end() -> None:
    house = await a_house(KEY)
    lease = await house.lease()
    await house.tick(890)
    assert (await house.report(lease, BAD_KEY)).lease_state is LeaseState.KEY_UNUSABLE
    assert house.state(whole(KEY), Family.CREDENTIAL).value == "open"


async def test_a_report_more_than_ten_minutes_after_the_end_fails() -> None:
    house = await a_house(KEY)
    lease = await house.lease()
    await house.tick(901)
    with pytest.raises(LeaseExpiredError):
        await house.report(lease, BAD_KEY)
    assert house.circuit(whole(KEY), Family.CREDENTIAL) is None
