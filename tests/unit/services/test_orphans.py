"""What is known of system keys that went while no broker ran."""

from dataclasses import replace
from functools import partial

from broker.adapters.seal import ClosedSealer
from broker.core.key import Key
from broker.core.words import Family, State
from broker.ports.key_source import SourceFault
from tests.unit.services import rotation_given
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import House, a_house
from tests.unit.services.rotation_given import held, saved
from tests.unit.services.status_given import a_key, whole

OLD = a_key("openai/k")
NEW = rotation_given.new(key=OLD)
again = partial(rotation_given.restarted, is_forgetful=False)
"""The next process on the same stores, and the same log."""
KEY, STAYS = a_key("openai/1"), a_key("openai/2")


async def restarted(before: House, *keys: Key) -> House:
    """A replica on the log of one that has gone, whose sources give these keys."""
    house = await a_house(*keys, name="later", beside=before)
    await house.core.health.follow()
    return house


async def quarantined(*keys: Key) -> House:
    house = await a_house(*keys)
    for _ in keys:
        await house.call(BAD_KEY)
    return house


def is_known(house: House, key: Key) -> bool:
    return house.state(whole(key), Family.CREDENTIAL) is not State.CLOSED


async def test_the_quarantine_of_a_key_that_went_meanwhile_goes_with_it() -> None:
    later = await restarted(await quarantined(KEY, STAYS), STAYS)
    assert is_known(later, KEY)
    later.clock.advance(11.0)
    await later.core.refreshing.refresh()
    assert not is_known(later, KEY)
    assert is_known(later, STAYS)


async def test_a_key_that_comes_back_within_seconds_is_still_quarantined() -> None:
    later = await restarted(await quarantined(KEY, STAYS), STAYS)
    later.clock.advance(5.0)
    await later.has_keys(KEY, STAYS)
    later.clock.advance(10.0)
    await later.core.refreshing.refresh()
    assert is_known(later, KEY)


async def test_nothing_is_forgotten_while_a_source_is_faulty() -> None:
    later = await restarted(await quarantined(KEY, STAYS), STAYS)
    later.source.faults = (SourceFault(".env:3", "is not NAME=value"),)
    later.clock.advance(60.0)
    await later.core.refreshing.refresh()
    assert is_known(later, KEY)


async def test_the_health_of_tenants_keys_waits_for_their_tenants() -> None:
    theirs = a_key("acme-1")  # by its id no system key's
    later = await restarted(await quarantined(theirs, STAYS), STAYS)
    later.clock.advance(60.0)
    await later.core.refreshing.refresh()
    assert is_known(later, theirs)


async def test_a_key_that_is_away_for_a_moment_just_then_is_still_quarantined() -> None:
    """Its health outlives it by ten seconds; the end of the ten after the start cut that short."""
    later = await restarted(await quarantined(KEY, STAYS), KEY, STAYS)
    later.clock.advance(9.5)
    await later.has_keys(STAYS)
    later.clock.advance(1.0)
    await later.core.refreshing.refresh()
    await later.has_keys(KEY, STAYS)
    assert is_known(later, KEY)


async def test_a_revoked_secret_came_back_from_the_seal_without_its_quarantine() -> None:
    """While nothing could be opened nobody held the revision, and its health was thrown away."""
    house = await a_house(OLD)
    await house.call(OK)
    await saved(house)
    await house.has_keys(NEW)
    fault = replace(house.core.world, sealer=ClosedSealer("the key file is missing"))
    await house.report(await house.lease(), BAD_KEY)
    assert is_known(house, OLD)
    sealed = await again(replace(house, core=replace(house.core, world=fault)), NEW)
    sealed.clock.advance(11.0)
    await sealed.core.refreshing.refresh()
    opened = await again(replace(sealed, core=replace(sealed.core, world=house.core.world)), NEW)
    assert held(opened, "openai/k") == ["new", OLD.revision]
    assert is_known(opened, OLD)
