"""The old secret after a rotation: its leases live on, and then nothing of it is left."""

from broker.core.facts import RevisionRetired
from broker.core.words import DenialReason, Family, LeaseState
from broker.services.draining import DRAIN_S, LOOK_S
from tests.unit.services.answers import BAD_KEY, LIMITED, MINI, OK
from tests.unit.services.house import GATEWAY, House, a_house
from tests.unit.services.rotation_given import NEW, OLD, held, read_again, restarted, rotated
from tests.unit.services.status_given import on_model, whole


def retired(house: House) -> list[str]:
    facts = (logged.fact for logged in house.log.appended)
    return [fact.revision for fact in facts if isinstance(fact, RevisionRetired)]


async def test_leases_on_the_old_secret_live_on_and_can_be_renewed() -> None:
    house = await a_house(OLD)
    lease = await house.lease()
    await rotated(house, NEW)
    answer = await house.report(lease, OK, keep_lease=True)
    assert answer.lease_state is LeaseState.LIVE
    for _ in range(5):
        await read_again(house, 200)
        await house.core.leasing.renew(GATEWAY, lease.lease_id, 300)
    assert held(house) == ["new", OLD.revision]


async def test_an_old_secret_is_forgotten_when_its_last_lease_has_ended() -> None:
    house = await a_house(OLD)
    first, second = await house.lease(), await house.lease(MINI)
    await rotated(house, NEW)
    await house.report(second, LIMITED)
    await read_again(house, LOOK_S)
    assert held(house) == ["new", OLD.revision]
    await house.report(first, OK)
    await read_again(house, LOOK_S)
    assert held(house) == ["new"]
    assert retired(house) == [OLD.revision]
    assert house.circuit(on_model(OLD, "gpt-mini"), Family.LIMIT) is None


async def test_an_old_secret_is_forgotten_at_the_latest_when_no_report_on_it_counts() -> None:
    house = await a_house(OLD)
    await house.call(OK)
    await read_again(house)
    again = await restarted(house, OLD)
    await rotated(again, NEW)
    for _ in range(3):
        await read_again(again, LOOK_S)
    assert held(again) == ["new", OLD.revision]  # leases of the first process may be out
    await read_again(again, DRAIN_S)
    assert held(again) == ["new"]


async def test_an_old_secret_that_is_revoked_while_it_drains_is_forgotten_at_once() -> None:
    """What an operator does after a rotation must not look like a key that died."""
    house = await a_house(OLD)
    lease, other = await house.lease(), await house.lease()
    await rotated(house, NEW)
    answer = await house.report(lease, BAD_KEY)
    assert answer.lease_state is LeaseState.KEY_UNUSABLE
    assert held(house) == ["new"]
    assert house.circuit(whole(OLD), Family.CREDENTIAL) is None
    assert (await house.report(other, BAD_KEY)).lease_state is LeaseState.KEY_UNUSABLE
    assert await house.events("incident_opened") == []
    assert (await house.lease()).claims.revision == "new"


async def test_the_old_secret_does_not_come_back_when_the_new_one_dies() -> None:
    house = await a_house(OLD)
    await house.call(OK)
    await rotated(house, NEW)
    await house.call(BAD_KEY)
    assert await house.refused() is DenialReason.QUARANTINED


async def test_a_removed_key_takes_all_of_its_revisions_along() -> None:
    house = await a_house(OLD)
    await house.has_keys(NEW)
    lease = await house.lease()
    await house.has_keys()
    answer = await house.report(lease, OK, keep_lease=True)
    assert answer.lease_state is LeaseState.KEY_UNUSABLE
    assert held(house) == []
