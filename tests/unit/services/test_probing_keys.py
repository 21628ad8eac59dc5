"""Whose keys are probed when, and who is told of what a probe found."""

from collections.abc import AsyncIterator
from dataclasses import replace

from broker.core.revisions import HeldKey, Revision
from broker.core.words import Family, ProbeResult, State
from broker.ports.mark_store import MarkKind
from broker.services.probing import MAX_WANTED, ProbeDone
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import INCONCLUSIVE, REJECTED, a_house
from tests.unit.services.lookout_given import a_tenant_key
from tests.unit.services.status_given import a_key, whole

KEY = a_key("k")
QUARANTINE = (whole(KEY), Family.CREDENTIAL)


async def listed(probes: AsyncIterator[ProbeDone]) -> list[ProbeDone]:
    return [done async for done in probes]


# --- Whose keys -------------------------------------------------------------------------------


async def test_a_disabled_key_is_left_alone_until_it_is_enabled() -> None:
    house = await a_house(KEY)
    await house.call(BAD_KEY)
    await house.core.marks.put(MarkKind.KEY_DISABLED, "k", "operator")
    await house.probe()
    assert house.prober.calls == []
    await house.core.marks.remove(MarkKind.KEY_DISABLED, "k")
    await house.probe()
    assert len(house.prober.calls) == 1


async def test_a_revision_that_waits_is_probed_when_it_is_asked_for_by_name() -> None:
    house = await a_house(KEY)
    await house.has_keys(replace(KEY, revision="new"))
    house.core.probing.ask("k", "new")
    house.core.probing.ask("k", "gone")
    house.core.probing.ask("nobody")
    await house.probe()
    assert house.prober.calls == [("k", "new")]


async def test_a_tenants_quarantined_key_is_probed_only_after_somebody_asked_for_it() -> None:
    house, key = await a_house(KEY), a_tenant_key("t")
    house.core.keyring.take(HeldKey.loaded([Revision(key)]))
    house.core.probing.note_wanted("t")
    house.prober.will_find("t", REJECTED, REJECTED)
    house.clock.advance(1)
    await listed(house.core.probing.probe_now([key]))
    house.clock.advance(17)
    await house.probe()
    assert len(house.prober.calls) == 1
    house.core.probing.note_wanted("t")
    for _ in range(3):
        await house.probe()
    assert len(house.prober.calls) == 2
    house.clock.advance(40)
    await house.probe()
    assert len(house.prober.calls) == 2
    house.core.probing.note_wanted("t")
    await house.probe()
    assert house.state(whole(key), Family.CREDENTIAL) is State.RAMPING


async def test_of_tenants_keys_that_were_asked_for_the_latest_are_remembered() -> None:
    house, key = await a_house(KEY), a_tenant_key("t")
    house.core.keyring.take(HeldKey.loaded([Revision(key)]))
    house.prober.will_find("t", REJECTED)
    await listed(house.core.probing.probe_now([key]))
    house.clock.advance(17)
    house.core.probing.note_wanted("t")
    for number in range(MAX_WANTED):
        house.core.probing.note_wanted(f"t{number}")
    await house.probe()
    assert len(house.prober.calls) == 1


# --- Who is told ------------------------------------------------------------------------------


async def test_listeners_are_told_of_every_probe_once_its_result_acts() -> None:
    house = await a_house(KEY)
    heard: list[tuple[ProbeResult, State]] = []
    house.core.probing.listen(
        lambda key, probed: heard.append((probed.result, house.state(*QUARANTINE)))
    )
    house.prober.will_find("k", INCONCLUSIVE, REJECTED)
    for _ in range(3):
        await listed(house.core.probing.probe_now([KEY]))
        house.clock.advance(1)
    assert heard == [
        (ProbeResult.INCONCLUSIVE, State.CLOSED),
        (ProbeResult.REJECTED, State.OPEN),
        (ProbeResult.AUTHENTICATED, State.RAMPING),
    ]


async def test_who_asks_for_what_is_known_is_told_without_a_probe() -> None:
    house = await a_house(KEY)
    await listed(house.core.probing.probe_now([KEY]))
    heard: list[str] = []
    house.core.probing.listen(lambda key, probed: heard.append(probed.result))
    house.core.probing.ask("k")
    await house.probe()
    assert len(house.prober.calls) == 1
    assert heard == [ProbeResult.AUTHENTICATED]


async def test_what_works_without_a_probe_asks_for_none() -> None:
    house = await a_house(KEY)
    await house.call(OK)
    await house.probe()
    assert house.prober.calls == []
