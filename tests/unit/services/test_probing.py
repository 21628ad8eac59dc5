"""One queue of probes a provider: prompt, paced, shared, and patient with what proves nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.core.words import Family, ProbeResult, State
from broker.ports.prober import Probed
from broker.services.probing import ProbeDone
from tests.fakes import settle
from tests.unit.services.answers import BAD_KEY, NO_KEY_SENT
from tests.unit.services.house import INCONCLUSIVE, REJECTED, UNREACHED, House, a_house
from tests.unit.services.status_given import a_key, whole

KEY = a_key("k")
QUARANTINE = (whole(KEY), Family.CREDENTIAL)


async def held(house: House) -> None:
    """The prober answers nothing until its gate opens."""
    house.prober.gate = asyncio.Event()


def go_on(house: House) -> None:
    assert house.prober.gate is not None
    house.prober.gate.set()


async def listed(probes: AsyncIterator[ProbeDone]) -> list[ProbeDone]:
    return [done async for done in probes]


# --- The queue --------------------------------------------------------------------------------


async def test_at_most_eight_probes_of_a_provider_are_under_way() -> None:
    house = await a_house(*(a_key(f"k{number:02}") for number in range(12)), a_key("g", "groq"))
    await held(house)
    task = asyncio.create_task(listed(house.core.probing.probe_now(house.core.keyring.keys())))
    await settle()
    assert len([name for name, _ in house.prober.calls if name != "g"]) == 8
    assert ("g", "rev-g") in house.prober.calls
    go_on(house)
    done = await task
    assert len(house.prober.calls) == 13
    assert [entry.done for entry in done] == list(range(1, 14))
    assert {entry.total for entry in done} == {13}


async def test_at_most_twenty_probes_of_a_provider_begin_in_a_second() -> None:
    house = await a_house(*(a_key(f"k{number:02}") for number in range(50)))
    task = asyncio.create_task(listed(house.core.probing.probe_now(house.core.keyring.keys())))
    await settle()
    assert len(house.prober.calls) == 20
    await house.clock.elapse(0.5)
    assert 28 <= len(house.prober.calls) <= 31
    await house.clock.elapse(1.1)
    assert len(house.prober.calls) == 50
    await task


async def test_a_probe_under_way_is_shared() -> None:
    house = await a_house(KEY)
    await held(house)
    calls = [asyncio.create_task(listed(house.core.probing.probe_now([KEY]))) for _ in range(3)]
    await settle()
    house.core.probing.ask("k")
    await house.probe()
    go_on(house)
    for call in calls:
        (done,) = await call
        assert done.probed.result is ProbeResult.AUTHENTICATED
    assert len(house.prober.calls) == 1


async def test_a_caller_who_leaves_does_not_stop_a_probe_that_others_share() -> None:
    house = await a_house(KEY)
    await held(house)
    leaver = asyncio.create_task(listed(house.core.probing.probe_now([KEY])))
    stayer = asyncio.create_task(listed(house.core.probing.probe_now([KEY])))
    await settle()
    leaver.cancel()
    await settle()
    go_on(house)
    assert len(await stayer) == 1


async def test_closing_stops_what_is_under_way() -> None:
    house = await a_house(KEY)
    await held(house)
    (task,) = started(house)
    await settle()
    await house.core.probing.close()
    assert task.cancelled()


def started(house: House) -> list[asyncio.Task[object]]:
    house.core.probing.ask("k")
    return list(house.core.probing.start_due())


# --- When -------------------------------------------------------------------------------------


async def test_new_evidence_is_probed_at_once_and_not_only_at_the_next_turn() -> None:
    house = await a_house(KEY)
    loop = asyncio.create_task(house.core.probing.run(3600))
    await settle()
    await house.call(BAD_KEY)
    await settle()
    assert len(house.prober.calls) == 1
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_quarantine_whose_time_is_over_is_probed_at_the_next_turn() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", REJECTED)
    loop = asyncio.create_task(house.core.probing.run(1))
    await settle()
    await house.call(BAD_KEY)
    await house.clock.elapse(14)
    assert len(house.prober.calls) == 1
    await house.clock.elapse(4)
    assert len(house.prober.calls) == 2
    assert house.state(*QUARANTINE) is State.RAMPING
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


@pytest.mark.parametrize("found", [INCONCLUSIVE, UNREACHED])
async def test_a_probe_that_proved_nothing_is_repeated_after_ever_longer_pauses(
    found: Probed,
) -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", *[found] * 20)
    times = []
    for second in range(200):
        made = len(house.prober.calls)
        await house.probe()
        if len(house.prober.calls) > made:
            times.append(second)
        house.clock.advance(1)
    assert times == [0, 1, 3, 7, 15, 31, 63, 123, 183]


async def test_a_conclusive_probe_ends_the_pauses() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    house.prober.will_find("k", INCONCLUSIVE, INCONCLUSIVE, REJECTED, INCONCLUSIVE)
    for pause_s in (0, 1, 2, 20):
        house.clock.advance(pause_s)
        await house.probe()
    house.clock.advance(1)
    await house.probe()
    assert len(house.prober.calls) == 5


async def test_healthy_keys_are_not_probed() -> None:
    house = await a_house(KEY)
    await house.probe()
    assert house.prober.calls == []


# --- What is learnt ---------------------------------------------------------------------------


async def test_a_rejected_key_is_quarantined_before_anybody_used_it() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", REJECTED)
    await listed(house.core.probing.probe_now([KEY]))
    assert house.state(*QUARANTINE) is State.OPEN
    assert house.meter.counts["probed", "openai", ProbeResult.REJECTED] == 1


async def test_models_that_an_authenticated_probe_listed_are_offered() -> None:
    house = await a_house(KEY)
    house.prober.default = replace(house.prober.default, models=("listed",))
    await listed(house.core.probing.probe_now([KEY]))
    assert "listed" in house.core.keyring.models.offered("openai")
    house.prober.default = replace(REJECTED, models=("lie",))
    await listed(house.core.probing.probe_now([KEY]))
    assert "lie" not in house.core.keyring.models.offered("openai")


@pytest.mark.parametrize("found", [REJECTED, INCONCLUSIVE])
async def test_a_probe_of_a_key_that_was_removed_meanwhile_teaches_nothing(
    found: Probed,
) -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", found)
    await held(house)
    started(house)
    await settle()
    await house.has_keys()
    go_on(house)
    await settle()
    assert list(house.core.health.circuits()) == []
    await house.probe()
    assert len(house.prober.calls) == 1


# --- A gateway that sent no key ---------------------------------------------------------------


async def test_a_call_without_a_key_only_has_the_key_probed() -> None:
    house = await a_house(KEY)
    answer = await house.call(NO_KEY_SENT)
    assert answer.verdict.missing_auth
    assert list(house.core.health.circuits()) == []
    await house.probe()
    assert house.prober.calls == [("k", KEY.revision)]
    assert list(house.core.health.circuits()) == []
    await house.lease()


async def test_a_call_without_a_key_finds_out_that_the_key_is_dead() -> None:
    house = await a_house(KEY)
    await house.call(NO_KEY_SENT)
    house.prober.will_find("k", REJECTED)
    await house.probe()
    assert house.state(*QUARANTINE) is State.OPEN


async def test_a_probe_that_was_asked_for_in_a_pause_is_made_after_it() -> None:
    house = await a_house(KEY)
    house.prober.will_find("k", INCONCLUSIVE)
    house.core.probing.ask("k")
    await house.probe()
    house.core.probing.ask("k")
    await house.probe()
    house.clock.advance(1)
    await house.probe()
    assert len(house.prober.calls) == 2
