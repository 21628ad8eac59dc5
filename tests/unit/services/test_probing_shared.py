"""What probes found is shared as long as it holds, and nothing is answered by what is too old."""

import asyncio

from broker.core.facts import CircuitCleared
from broker.core.key import Key
from broker.core.words import Family, ProbeResult, State
from broker.services.probe_line import MAX_ROUTINE, Lane
from broker.services.probing import ProbeDone
from tests.fakes import settle
from tests.unit.services.answers import BAD_KEY, NO_KEY_SENT, WEAK_401
from tests.unit.services.house import INCONCLUSIVE, REJECTED, House, a_house
from tests.unit.services.status_given import a_key, whole

KEY = a_key("k")
QUARANTINE = (whole(KEY), Family.CREDENTIAL)


async def operated(house: House) -> list[ProbeDone]:
    """An operator has the key probed."""
    return [done async for done in house.core.probing.probe_now([KEY])]


# --- What is shared ---------------------------------------------------------------------------


async def asked(house: House) -> int:
    """How many calls of the prober it takes to ask for the key."""
    before = len(house.prober.calls)
    house.core.probing.ask("k")
    await house.probe()
    return len(house.prober.calls) - before


async def routinely(house: House, *keys: Key) -> list[ProbeDone]:
    probes = house.core.probing.probe_now(keys or [KEY], Lane.ROUTINE)
    return [done async for done in probes]


async def test_a_conclusive_result_is_shared_for_a_minute() -> None:
    house = await a_house(KEY)
    (first,) = await routinely(house)
    house.clock.advance(59)
    assert await asked(house) == 0
    (again,) = await routinely(house)
    assert len(house.prober.calls) == 1
    assert again.probed.result is first.probed.result
    house.clock.advance(1)
    assert await asked(house) == 1


async def test_an_operator_is_never_told_an_old_result() -> None:
    house = await a_house(KEY)
    for _ in range(3):
        await operated(house)
    assert len(house.prober.calls) == 3


async def test_evidence_that_came_later_is_not_answered_by_an_old_result() -> None:
    house = await a_house(KEY)
    await routinely(house)
    house.clock.advance(5)
    house.prober.default = REJECTED
    await house.call(WEAK_401)
    (done,) = await routinely(house)
    assert done.probed.result is ProbeResult.REJECTED
    assert house.state(*QUARANTINE) is State.OPEN


async def test_a_result_is_forgotten_when_an_operator_clears_the_circuit() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", REJECTED)
    await routinely(house)
    cleared = CircuitCleared(
        fact_id="c", provider="openai", replica="here", scope=whole(KEY), family=None, principal="o"
    )
    await house.core.health.submit([cleared])
    (done,) = await routinely(house)
    assert done.probed.result is ProbeResult.AUTHENTICATED


async def test_what_another_replica_found_is_shared_too() -> None:
    here = await a_house(KEY)
    there = await a_house(name="there", beside=here)
    there.prober.will_find("k", REJECTED)
    await routinely(there)
    (done,) = await routinely(here)
    assert done.probed.result is ProbeResult.REJECTED
    assert here.prober.calls == []


async def test_a_result_that_proved_nothing_is_shared_with_nobody() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", INCONCLUSIVE)
    await routinely(house)
    await routinely(house)
    assert len(house.prober.calls) == 2


async def test_a_routine_look_waits_out_the_pause_after_a_probe_that_proved_nothing() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", INCONCLUSIVE)
    for pause_s in (0, 0.5, 0.5):
        house.clock.advance(pause_s)
        house.core.probing.look_at(KEY)
        await settle()
    assert len(house.prober.calls) == 2


async def test_a_half_open_circuit_is_not_answered_by_what_was_found_before() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", REJECTED)
    await routinely(house)
    house.clock.advance(17)
    await house.probe()
    assert len(house.prober.calls) == 2
    assert house.state(*QUARANTINE) is State.RAMPING


async def test_a_gateway_that_never_sends_a_key_causes_no_stream_of_probes() -> None:
    house = await a_house(KEY)
    for _ in range(20):
        await house.call(NO_KEY_SENT)
        await house.probe()
    assert len(house.prober.calls) == 1


# --- Who goes first ---------------------------------------------------------------------------


async def test_evidence_is_probed_at_once_although_routine_probes_hang() -> None:
    house = await a_house(KEY, *(a_key(f"k{number:02}") for number in range(30)))
    gate = house.prober.gate = asyncio.Event()
    boot = asyncio.create_task(routinely(house, *house.core.keyring.keys("openai")[1:]))
    await settle()
    assert len(house.prober.calls) == MAX_ROUTINE
    others = tuple(f"k{number:02}" for number in range(30))
    await house.report(await house.lease(excluded=others), BAD_KEY)
    await house.probe()
    assert house.prober.calls[MAX_ROUTINE:] == [("k", KEY.revision)]
    gate.set()
    await house.clock.elapse(5)
    await boot


async def test_a_routine_probe_in_the_line_is_hurried_when_evidence_comes() -> None:
    house = await a_house(KEY, *(a_key(f"a{number}") for number in range(6)))
    gate = house.prober.gate = asyncio.Event()
    boot = asyncio.create_task(routinely(house, *house.core.keyring.keys("openai")))
    await settle()
    assert ("k", KEY.revision) not in house.prober.calls
    others = tuple(f"a{number}" for number in range(6))
    await house.report(await house.lease(excluded=others), BAD_KEY)
    await house.probe()
    assert house.prober.calls[-1] == ("k", KEY.revision)
    gate.set()
    await boot
    assert len(house.prober.calls) == 7
