"""Keys that are rejected together are one incident with one cause."""

from dataclasses import replace

from broker.core.health import Incident
from broker.core.words import Provenance
from broker.services.acquisition import Grant
from broker.services.refreshing import RETIRE_AFTER_S
from tests.unit.services.answers import BAD_KEY, LIMITED, MINI
from tests.unit.services.house import AUTHENTICATED, REJECTED, House, a_house
from tests.unit.services.status_given import a_key

A, B, C, D = (a_key(name) for name in "abcd")


def incident(house: House) -> Incident | None:
    return house.core.health.of("openai").replica.view.incident(Provenance.SYSTEM)


async def use(house: House, *names: str) -> dict[str, Grant]:
    """Lease each of these keys."""
    every = {key.key_id for key in house.source.keys}
    return {name: await house.lease(excluded=tuple(every - {name})) for name in names}


async def kinds(house: House) -> list[str]:
    events = await house.events()
    return [event.kind for event in events if event.kind.startswith("incident")]


async def test_the_only_key_in_use_that_is_rejected_is_an_incident() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    assert await kinds(house) == ["incident_opened"]
    found = incident(house)
    assert found is not None
    assert found.key_ids == ("a",)
    (event,) = await house.events("incident_opened")
    assert event.attributes["keys"] == "a"


async def test_less_than_half_of_the_keys_in_use_is_no_incident() -> None:
    house = await a_house(A, B, C)
    leases = await use(house, "a", "b", "c")
    await house.report(leases["a"], BAD_KEY)
    assert await kinds(house) == []
    assert incident(house) is None


async def test_half_of_the_keys_in_use_open_one_incident_and_later_ones_join_it() -> None:
    house = await a_house(A, B, C, D)
    leases = await use(house, "a", "b", "c", "d")
    for name in "abcd":
        await house.report(leases[name], BAD_KEY)
    assert await kinds(house) == ["incident_opened", "incident_joined", "incident_joined"]
    found = incident(house)
    assert found is not None
    assert found.key_ids == ("a", "b", "c", "d")


async def test_keys_that_nobody_used_for_ten_minutes_do_not_count() -> None:
    house = await a_house(A, B, C)
    await use(house, "a", "b", "c")
    house.clock.advance(601)
    leases = await use(house, "a")
    await house.report(leases["a"], BAD_KEY)
    assert await kinds(house) == ["incident_opened"]


async def test_rejections_more_than_a_minute_apart_are_no_incident() -> None:
    house = await a_house(A, B, C)
    leases = await use(house, "a", "b", "c")
    await house.report(leases["a"], BAD_KEY)
    house.clock.advance(61)
    await house.report(leases["b"], BAD_KEY)
    assert await kinds(house) == []


async def test_other_trouble_is_no_incident() -> None:
    house = await a_house(A)
    await house.call(LIMITED)
    assert await kinds(house) == []


async def test_an_incident_closes_when_more_than_half_of_its_keys_are_back() -> None:
    house = await a_house(A, B)
    leases = await use(house, "a", "b")
    for name in "ab":
        await house.report(leases[name], BAD_KEY)
    house.prober.will_find("a", AUTHENTICATED)
    house.prober.will_find("b", REJECTED, AUTHENTICATED)
    await house.probe()
    assert incident(house) is not None
    house.clock.advance(17)
    await house.probe()
    assert incident(house) is None
    assert (await kinds(house))[-1] == "incident_closed"


async def test_an_incident_closes_when_its_keys_are_rotated() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    await house.has_keys(replace(A, revision="new"))
    assert incident(house) is None
    assert await kinds(house) == ["incident_opened", "incident_closed"]


async def test_an_incident_closes_when_its_keys_are_removed() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    await house.has_keys(B)
    house.clock.advance(RETIRE_AFTER_S)
    await house.has_keys(B)
    assert incident(house) is None
    assert await kinds(house) == ["incident_opened", "incident_closed"]


async def test_a_false_alarm_that_comes_again_while_the_key_ramps_is_another_incident() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    await house.probe()
    assert incident(house) is None
    house.clock.advance(3)
    lease = await house.lease(MINI)
    await house.report(lease, BAD_KEY)
    assert await kinds(house) == ["incident_opened", "incident_closed", "incident_opened"]


async def test_each_provider_has_its_own_incidents() -> None:
    house = await a_house(A, a_key("g", "groq"))
    await house.call(BAD_KEY)
    assert house.core.health.of("groq").replica.view.incident(Provenance.SYSTEM) is None


async def test_another_replica_knows_of_an_incident_and_does_not_tell_it_again() -> None:
    here = await a_house(A)
    there = await a_house(name="there", beside=here)
    await here.call(BAD_KEY)
    assert incident(there) is not None
    assert await kinds(there) == []
    there.clock.advance(17)
    await there.probe()
    assert incident(here) is None
    assert await kinds(there) == ["incident_closed"]
    assert await kinds(here) == ["incident_opened"]
