"""Operators have probes made and sources read at once."""

import asyncio
from contextlib import aclosing

import pytest

from broker.core.words import Family, ProbeResult
from broker.ports.prober import Probed
from broker.services.errors import InvalidFieldError, KeyUnknownError, ProviderUnknownError
from broker.services.standing import KeyState
from tests.fakes import settle
from tests.unit.services.status_given import a_desk, a_key, whole

REJECTED = Probed(ProbeResult.REJECTED, reached=True, detail="401 by openai:bad-key")


async def test_each_key_is_told_of_once_with_the_progress() -> None:
    desk = await a_desk(*(a_key(f"k{number}") for number in range(20)))
    done = [done async for done in desk.upkeep.probe("", ())]
    assert sorted(entry.key.key_id for entry in done) == sorted(f"k{n}" for n in range(20))
    assert [entry.done for entry in done] == list(range(1, 21))
    assert {entry.total for entry in done} == {20}


async def test_the_results_act_as_those_of_any_probe() -> None:
    sick, fine = a_key("k1"), a_key("k2")
    desk = await a_desk(sick, fine)
    await desk.fail(whole(fine), Family.CREDENTIAL)
    desk.prober.will_find("k1", REJECTED)
    desk.clock.advance(1)
    results = {
        done.key.key_id: done.probed.result async for done in desk.upkeep.probe("", ("k1", "k2"))
    }
    assert results == {"k1": ProbeResult.REJECTED, "k2": ProbeResult.AUTHENTICATED}
    assert (await desk.inventory.key("k1")).state is KeyState.QUARANTINED
    assert (await desk.inventory.key("k2")).state is KeyState.HEALTHY


async def test_leaving_early_stops_the_probes_that_have_not_begun() -> None:
    desk = await a_desk(*(a_key(f"k{number:02}") for number in range(30)))
    async with aclosing(desk.upkeep.probe("openai", ())) as probes:
        await anext(probes)
    await settle()
    assert len(desk.prober.calls) < 20


async def test_a_provider_that_hangs_holds_up_no_other() -> None:
    desk = await a_desk(*(a_key(f"k{n}") for n in range(9)), a_key("g1", "groq"))
    desk.prober.gate = asyncio.Event()
    probes = desk.upkeep.probe("", ())
    first = asyncio.ensure_future(anext(probes))
    await settle()
    assert len([call for call in desk.prober.calls if call[0].startswith("k")]) == 8
    assert ("g1", "rev-g1") in desk.prober.calls
    desk.prober.gate.set()
    await first
    await probes.aclose()


async def test_named_keys_are_probed_once_each() -> None:
    desk = await a_desk(a_key("k1"), a_key("k2"))
    done = [done async for done in desk.upkeep.probe("openai", ("k2", "k2"))]
    assert [entry.key.key_id for entry in done] == ["k2"]


async def test_what_cannot_be_probed_is_a_fault_before_any_probe() -> None:
    desk = await a_desk(a_key("k1"), a_key("g1", "groq"))
    with pytest.raises(KeyUnknownError):
        _ = [done async for done in desk.upkeep.probe("", ("k1", "k9"))]
    with pytest.raises(ProviderUnknownError):
        _ = [done async for done in desk.upkeep.probe("opnai", ())]
    with pytest.raises(InvalidFieldError):
        _ = [done async for done in desk.upkeep.probe("openai", ("g1",))]
    assert desk.prober.calls == []


async def test_a_refresh_takes_effect_and_concurrent_ones_share_one_reading() -> None:
    desk = await a_desk(a_key("k1"))
    desk.source.keys = (a_key("k1", revision="new"), a_key("k2"))
    before = desk.source.loads
    readings = await asyncio.gather(*(desk.upkeep.refresh() for _ in range(5)))
    assert desk.source.loads == before + 1
    ((reading,), *others) = readings
    assert all(other == [reading] for other in others)
    assert [key.key_id for key in reading.refreshed.added] == ["k2"]
    held = desk.core.keyring.held("k1")
    assert held is not None
    assert held.newest.revision == "new"


async def test_a_caller_that_goes_away_stops_nobody_elses_refresh() -> None:
    desk = await a_desk(a_key("k1"))
    gone = asyncio.ensure_future(desk.upkeep.refresh())
    stays = asyncio.ensure_future(desk.upkeep.refresh())
    await asyncio.sleep(0)
    gone.cancel()
    (reading,) = await stays
    assert reading.source == "fake"
