"""The sentinel finds out about idle keys, at no cost, and leaves all others alone."""

import pytest

from broker.core.words import Family, State
from broker.ports.mark_store import MarkKind
from broker.services.boot import BootPolicy, BootRules
from broker.services.lookout import WatchRules
from tests.unit.services.answers import BAD_KEY, BAD_REQUEST, OK
from tests.unit.services.house import INCONCLUSIVE, REJECTED, House
from tests.unit.services.lookout_given import a_lookout, look_out
from tests.unit.services.status_given import a_key, whole

KEY = a_key("k")
EVERY_MINUTE = WatchRules(BootRules(BootPolicy.OFF), sentinel_s=60.0)


async def probe_times(house: House, seconds: int) -> dict[str, list[int]]:
    """When each key was probed while time passed."""
    times: dict[str, list[int]] = {}
    for second in range(1, seconds + 1):
        before = len(house.prober.calls)
        await look_out(house, 1)
        for key_id, _ in house.prober.calls[before:]:
            times.setdefault(key_id, []).append(second)
    return times


async def test_an_idle_key_is_probed_every_minute_give_or_take_a_tenth() -> None:
    house = await a_lookout(*(a_key(f"k{n}") for n in range(20)), rules=EVERY_MINUTE)
    times = await probe_times(house, 300)
    assert len(times) == 20
    for seconds in times.values():
        gaps = [after - before for before, after in zip([0, *seconds], seconds, strict=False)]
        assert all(54 <= gap <= 67 for gap in gaps), gaps
    assert len({seconds[0] for seconds in times.values()}) > 5
    again = await a_lookout(*(a_key(f"k{n}") for n in range(20)), rules=EVERY_MINUTE)
    assert await probe_times(again, 300) == times


async def test_a_key_that_was_added_is_looked_at_at_once() -> None:
    house = await a_lookout(KEY, rules=WatchRules(sentinel_s=60.0))
    await look_out(house, 50)
    await house.has_keys(KEY, a_key("new"))
    times = await probe_times(house, 3)
    assert times == {"new": [1]}


async def test_a_key_that_just_worked_is_not_probed() -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    for _ in range(20):
        await house.call(OK)
        await look_out(house, 30)
    assert house.prober.calls == []
    await look_out(house, 70)
    assert len(house.prober.calls) == 1


async def test_traffic_without_success_is_no_reason_to_trust_a_key() -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    for _ in range(7):
        await house.call(BAD_REQUEST)
        await look_out(house, 10)
    assert len(house.prober.calls) == 1


async def test_a_dead_key_is_found_before_anybody_uses_it_and_then_left_to_its_circuit() -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    house.prober.default = REJECTED
    await look_out(house, 300)
    assert house.state(whole(KEY), Family.CREDENTIAL) is State.HALF_OPEN
    assert len(house.prober.calls) == 1


async def test_what_a_probe_of_another_found_out_is_not_asked_again_at_once() -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    await look_out(house, 50)
    async for _ in house.core.probing.probe_now([KEY]):
        pass
    await look_out(house, 50)
    assert len(house.prober.calls) == 1


async def test_a_probe_that_proved_nothing_is_not_repeated_before_the_next_minute() -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    house.prober.will_find("k", *[INCONCLUSIVE] * 10)
    times = await probe_times(house, 200)
    assert len(times["k"]) == 3


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(MarkKind.KEY_DISABLED, "k"), (MarkKind.UPSTREAM_DISABLED, "openai/")],
)
async def test_what_an_operator_disabled_is_left_alone(kind: MarkKind, subject: str) -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    await house.core.marks.put(kind, subject, "operator")
    await look_out(house, 200)
    assert house.prober.calls == []


async def test_a_probe_that_could_prove_nothing_is_not_made() -> None:
    house = await a_lookout(a_key("p", "public"), rules=EVERY_MINUTE)
    await look_out(house, 200)
    assert house.prober.calls == []


async def test_it_can_be_switched_off() -> None:
    house = await a_lookout(KEY)
    await look_out(house, 200)
    assert house.prober.calls == []


async def test_evidence_that_was_answered_with_a_yes_counts_as_a_look() -> None:
    house = await a_lookout(KEY, rules=EVERY_MINUTE)
    await look_out(house, 50)
    await house.call(BAD_KEY)
    await house.probe()
    await look_out(house, 50)
    assert len(house.prober.calls) == 1
