"""What is known of system keys that went while no broker ran."""

from broker.core.key import Key
from broker.core.words import Family, State
from broker.ports.key_source import SourceFault
from tests.unit.services.answers import BAD_KEY
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key, whole

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
