"""What every prober promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.core.words import ProbeResult
from tests.contract.adapters import PROBERS
from tests.contract.prober_rigs import KEY, ProberRig


@pytest.fixture(params=PROBERS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[ProberRig]:
    async with PROBERS[request.param]() as rig:
        yield rig


async def test_a_key_that_the_provider_takes_is_authenticated(rig: ProberRig) -> None:
    rig.will_accept()
    found = await rig.prober.probe(KEY, rig.provider)
    assert (found.result, found.reached) == (ProbeResult.AUTHENTICATED, True)
    assert found.models == ("a", "b")


async def test_a_key_that_the_provider_refuses_is_rejected(rig: ProberRig) -> None:
    rig.will_reject()
    found = await rig.prober.probe(KEY, rig.provider)
    assert (found.result, found.reached) == (ProbeResult.REJECTED, True)


async def test_trouble_of_the_provider_proves_nothing(rig: ProberRig) -> None:
    rig.will_fail()
    found = await rig.prober.probe(KEY, rig.provider)
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, True)


async def test_a_provider_that_says_nothing_was_not_reached(rig: ProberRig) -> None:
    rig.will_hang()
    async with asyncio.timeout(5.0):
        found = await rig.prober.probe(KEY, rig.provider)
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, False)


async def test_every_finding_says_something_to_operators(rig: ProberRig) -> None:
    for answer in (rig.will_accept, rig.will_reject, rig.will_fail, rig.will_hang):
        answer()
        assert (await rig.prober.probe(KEY, rig.provider)).detail


async def test_a_closed_prober_finds_nothing(rig: ProberRig) -> None:
    rig.will_accept()
    await rig.prober.close()
    await rig.prober.close()
    found = await rig.prober.probe(KEY, rig.provider)
    assert (found.result, found.reached) == (ProbeResult.INCONCLUSIVE, False)
