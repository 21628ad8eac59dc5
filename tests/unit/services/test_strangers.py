"""Models that nobody configured and that never worked: their trouble stays here, and small."""

from broker.core.facts import CircuitCleared
from broker.core.scope import Upstream, upstream_scope
from broker.core.words import DenialReason, Family, State
from broker.services.draining import DRAIN_S
from broker.services.health import MAX_STRANGERS
from tests.unit.services.answers import (
    BAD_KEY,
    FAULT,
    FORBIDDEN,
    LIMITED,
    NO_MODEL,
    OK,
    STRANGE,
)
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key, on_model

KEY = a_key("k")
ON_STRANGE = on_model(KEY, "made-up")


def logged(house: House) -> int:
    return len(house.log.appended)


async def contradicted() -> House:
    """A house whose key was reported dead on a strange model, and is not."""
    house = await a_house(KEY)
    await house.call(BAD_KEY, STRANGE)
    await house.probe()
    assert await house.refused(STRANGE) is DenialReason.RESTRICTED
    return house


async def test_trouble_with_a_strange_model_is_remembered_and_not_logged() -> None:
    house = await a_house(KEY)
    await house.call(NO_MODEL, STRANGE)
    assert await house.refused(STRANGE) is DenialReason.RESTRICTED
    assert logged(house) == 0
    assert [event.kind for event in await house.events()] == ["circuit_opened"]


async def test_another_replica_does_not_hear_of_a_strange_model() -> None:
    here = await a_house(KEY)
    there = await a_house(name="there", beside=here)
    await here.call(NO_MODEL, STRANGE)
    await there.lease(STRANGE)


async def test_a_strange_upstream_opens_here_only() -> None:
    here = await a_house(KEY)
    there = await a_house(name="there", beside=here)
    await here.calls(10, FAULT, STRANGE)
    assert await here.refused(STRANGE) is DenialReason.UPSTREAM_OPEN
    await here.tick(1)
    assert logged(here) == 0
    await there.call(FAULT, STRANGE)
    assert there.state(upstream_scope(Upstream("openai", "", "made-up")), Family.HEALTH) is (
        State.CLOSED
    )


async def test_strange_circuits_heal_by_time_and_by_trial() -> None:
    house = await a_house(KEY)
    await house.call(LIMITED, STRANGE)
    await house.call(NO_MODEL, STRANGE._replace(model="other"))
    house.clock.advance(60)
    await house.lease(STRANGE)
    house.clock.advance(4000)
    await house.call(OK, STRANGE._replace(model="other"))
    house.clock.advance(12)
    await house.lease(STRANGE._replace(model="other"))
    house.clock.advance(700)
    await house.tick()
    assert list(house.core.health.circuits()) == []


async def test_a_model_that_worked_once_is_no_stranger() -> None:
    house = await a_house(KEY)
    await house.call(OK, STRANGE)
    await house.call(FORBIDDEN, STRANGE)
    assert logged(house) == 1


async def test_strange_circuits_are_few_and_the_oldest_go_first() -> None:
    house = await a_house(KEY)
    for number in range(MAX_STRANGERS + 10):
        await house.call(NO_MODEL, STRANGE._replace(model=f"m{number}"))
    assert len(list(house.core.health.circuits())) == MAX_STRANGERS
    await house.lease(STRANGE._replace(model="m0"))
    assert await house.refused(STRANGE._replace(model="m10")) is DenialReason.RESTRICTED


async def test_strange_circuits_go_with_the_revision() -> None:
    house = await a_house(KEY)
    await house.call(NO_MODEL, STRANGE)
    await house.has_keys(a_key("k", revision="new"))
    await house.probe()
    house.clock.advance(DRAIN_S)
    await house.has_keys(a_key("k", revision="new"))
    assert list(house.core.health.circuits()) == []
    await house.lease(STRANGE)


async def test_a_denial_that_a_probe_left_on_a_strange_model_can_be_cleared() -> None:
    house = await contradicted()
    cleared = CircuitCleared(
        fact_id="c",
        provider="openai",
        replica="here",
        scope=ON_STRANGE,
        family=Family.ACCESS,
        principal="ops",
    )
    (change,) = house.core.health.post([cleared])
    assert change.states == (State.OPEN, State.CLOSED)
    await house.lease(STRANGE)


async def test_a_denial_that_a_probe_left_on_a_strange_model_is_healed_by_its_trial() -> None:
    house = await contradicted()
    house.clock.advance(700)
    assert (await house.lease(STRANGE)).claims.is_trial
    house.clock.advance(61)
    trial = await house.lease(STRANGE)
    await house.report(trial, FORBIDDEN)
    assert house.state(ON_STRANGE, Family.ACCESS) is State.OPEN
    assert len(list(house.core.health.circuits())) == 2
    house.clock.advance(1400)
    await house.report(await house.lease(STRANGE), OK)
    assert house.state(ON_STRANGE, Family.ACCESS) is State.RAMPING
