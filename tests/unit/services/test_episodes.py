"""Providers that go down and emergencies: told once, with their cause, and once when over."""

from dataclasses import replace

from broker.core.key import Key
from broker.core.outcome import Outcome
from broker.ports.mark_store import MarkKind
from broker.services.episodes import HEALTHY_S, LIMIT_BEARS_S
from tests.unit.services.answers import EXHAUSTED, FAULT, LIMITED, MINI, OK, STRANGE, UNREACHABLE
from tests.unit.services.house import REJECTED, House
from tests.unit.services.lookout_given import (
    FlickeringHistory,
    a_lookout,
    look_out,
    restarted,
    told,
)
from tests.unit.services.status_given import a_key

A, B, G = a_key("a"), a_key("b"), a_key("g", "groq")
DOWN, UP = "provider_down", "provider_recovered"
BEGAN, ENDED = "emergency_began", "emergency_ended"


async def kinds(house: House) -> list[str]:
    return [event.kind for event in await told(house, DOWN, UP, BEGAN, ENDED)]


async def kill(house: House, *keys: Key) -> None:
    """A probe finds these keys rejected."""
    for key in keys:
        house.prober.will_find(key.key_id, REJECTED)
        async for _ in house.core.probing.probe_now([key]):
            pass


async def mend(house: House, *keys: Key) -> None:
    async for _ in house.core.probing.probe_now(keys):
        pass


def for_seconds(seconds: int) -> Outcome:
    return replace(LIMITED, headers={"retry-after": str(seconds)})


async def disable(house: House, subject: str, kind: MarkKind = MarkKind.KEY_DISABLED) -> None:
    await house.core.marks.put(kind, subject, "operator")


# --- Credentials ------------------------------------------------------------------------------


async def test_a_provider_is_down_when_its_last_key_is_rejected_and_not_before() -> None:
    house = await a_lookout(A, B, G)
    await kill(house, A)
    await look_out(house, 5)
    assert await kinds(house) == []
    await kill(house, B)
    await look_out(house, 5)
    (event,) = await told(house, DOWN)
    assert event.provider == "openai"
    assert event.attributes["cause"] == "credential"
    assert event.attributes["keys"] == "2"
    assert event.message == "openai: none of 2 keys can be used (2 credential)"
    assert await kinds(house) == [DOWN]


async def test_a_mended_credential_ends_it_at_once_with_its_downtime() -> None:
    house = await a_lookout(A, G)
    await kill(house, A)
    await look_out(house, 200)
    await mend(house, A)
    await look_out(house, 1)
    (event,) = await told(house, UP)
    assert event.provider == "openai"
    assert event.attributes["downtime_s"] == "200"
    assert "3 min 20 s" in event.message
    await look_out(house, 600)
    assert await kinds(house) == [DOWN, UP]


async def test_nothing_leasable_at_all_is_an_emergency_beside_each_providers_trouble() -> None:
    house = await a_lookout(A, G)
    await kill(house, A)
    await look_out(house, 10)
    await kill(house, G)
    await look_out(house, 10)
    assert await kinds(house) == [DOWN, DOWN, BEGAN]
    (event,) = await told(house, BEGAN)
    assert event.provider == ""
    assert event.attributes["cause"] == "credential"
    await mend(house, G)
    await look_out(house, 1)
    assert await kinds(house) == [DOWN, DOWN, BEGAN, UP, ENDED]
    (event,) = await told(house, ENDED)
    assert event.attributes["downtime_s"] == "10"


async def test_a_quarantine_that_may_be_tried_has_not_ended() -> None:
    house = await a_lookout(A)
    await kill(house, A)
    await look_out(house, 600)
    assert await kinds(house) == [DOWN, BEGAN]


# --- Other causes -----------------------------------------------------------------------------


async def test_no_money_is_told_apart_and_a_trial_that_may_be_made_ends_nothing() -> None:
    house = await a_lookout(A)
    await house.call(EXHAUSTED)
    await look_out(house, 1)
    (event,) = await told(house, DOWN)
    assert event.attributes["cause"] == "quota"
    await look_out(house, 3600, step_s=60)
    assert await kinds(house) == [DOWN, BEGAN]
    await house.call(OK)
    await look_out(house, HEALTHY_S - 1)
    assert await kinds(house) == [DOWN, BEGAN]
    await look_out(house, 2)
    assert await kinds(house) == [DOWN, BEGAN, UP, ENDED]
    (event,) = await told(house, UP)
    assert event.attributes["downtime_s"] == "3601"


async def test_a_provider_that_faults_is_down_for_the_models_in_use() -> None:
    house = await a_lookout(A, G)
    await house.calls(10, FAULT)
    await look_out(house, 1)
    (event,) = await told(house, DOWN)
    assert event.attributes["cause"] == "provider"


async def test_a_provider_that_nobody_calls_any_more_has_not_recovered_by_that() -> None:
    house = await a_lookout(A, G)
    await house.calls(10, FAULT)
    await look_out(house, 1)
    await look_out(house, 1800, step_s=10)
    house = await restarted(house)
    await look_out(house, 1800, step_s=10)
    assert await kinds(house) == [DOWN]
    await house.call(OK)
    await look_out(house, HEALTHY_S + 15)
    assert await kinds(house) == [DOWN, UP]


async def test_a_provider_that_nobody_reaches_is_told_apart() -> None:
    house = await a_lookout(A, G)
    await house.calls(10, UNREACHABLE)
    await look_out(house, 1)
    (event,) = await told(house, DOWN)
    assert event.attributes["cause"] == "network"


async def test_a_provider_that_serves_another_model_in_use_is_not_down() -> None:
    house = await a_lookout(A)
    await house.call(OK, MINI)
    await house.calls(10, FAULT)
    await look_out(house, 10)
    assert await kinds(house) == []


async def test_a_model_that_a_caller_made_up_takes_no_provider_down() -> None:
    house = await a_lookout(A)
    await house.call(LIMITED, STRANGE)
    await look_out(house, 4)
    assert await kinds(house) == []


async def test_rate_limits_are_an_episode_only_when_they_last() -> None:
    house = await a_lookout(A)
    await house.call(LIMITED)
    await look_out(house, 10)
    assert await kinds(house) == []
    await house.report(await house.lease(), OK)
    limited = await house.lease()
    await house.report(limited, for_seconds(120))
    await look_out(house, LIMIT_BEARS_S - 2)
    assert await kinds(house) == []
    await look_out(house, 5)
    (event,) = await told(house, DOWN)
    assert event.attributes["cause"] == "limit"


async def test_flapping_limits_are_one_episode_whose_healthy_minutes_do_not_count() -> None:
    house = await a_lookout(A)
    for _ in range(4):
        await house.call(for_seconds(60))
        await look_out(house, 120)
    assert [kind for kind in await kinds(house) if kind in {DOWN, UP}] == [DOWN]
    await look_out(house, HEALTHY_S)
    (event,) = await told(house, UP)
    assert 200 <= float(event.attributes["downtime_s"]) <= 300


async def test_what_an_operator_disabled_is_told_apart_and_over_at_once() -> None:
    house = await a_lookout(A, G)
    await disable(house, "openai/", MarkKind.UPSTREAM_DISABLED)
    await look_out(house, 1)
    await house.core.marks.remove(MarkKind.UPSTREAM_DISABLED, "openai/")
    await look_out(house, 1)
    down, up = await told(house, DOWN, UP)
    assert down.attributes["cause"] == "disabled"
    assert up.kind == UP


async def test_the_root_cause_is_that_of_most_keys_and_all_are_told() -> None:
    house = await a_lookout(A, B, a_key("c"))
    await kill(house, A, B)
    await disable(house, "c")
    await look_out(house, 1)
    (event,) = await told(house, DOWN)
    assert event.attributes["cause"] == "credential"
    assert event.attributes["keys_by_cause"] == "2 credential, 1 disabled"


async def test_a_key_for_named_models_is_down_when_all_of_them_are() -> None:
    house = await a_lookout(a_key("n", models={"gpt-4o": "", "gpt-mini": ""}))
    await disable(house, "openai/gpt-4o", MarkKind.UPSTREAM_DISABLED)
    await look_out(house, 1)
    assert await kinds(house) == []
    await disable(house, "openai/gpt-mini", MarkKind.UPSTREAM_DISABLED)
    await look_out(house, 1)
    assert await kinds(house) == [DOWN, BEGAN]


async def test_a_shared_bill_takes_all_of_its_keys_down() -> None:
    house = await a_lookout(a_key("a", account="main"), a_key("b", account="main"))
    await house.call(EXHAUSTED)
    await look_out(house, 1)
    (event,) = await told(house, DOWN)
    assert event.attributes["keys_by_cause"] == "2 quota"


# --- Keys that come and go --------------------------------------------------------------------


async def test_a_file_that_looks_empty_for_a_moment_ends_nothing() -> None:
    house = await a_lookout(A)
    await kill(house, A)
    await look_out(house, 5)
    await house.has_keys()
    await look_out(house, 5)
    await house.has_keys(A)
    await look_out(house, 5)
    assert await kinds(house) == [DOWN, BEGAN]


async def test_keys_that_are_gone_for_good_end_it_in_words_of_their_own() -> None:
    house = await a_lookout(A)
    await kill(house, A)
    await look_out(house, 5)
    await house.has_keys()
    await look_out(house, HEALTHY_S + 2)
    (event,) = await told(house, UP)
    assert "no keys any more" in event.message
    (event,) = await told(house, ENDED)
    assert "no keys any more" in event.message


# --- Restarts ---------------------------------------------------------------------------------


async def test_a_restart_tells_nothing_twice_and_counts_the_downtime_on() -> None:
    before = await a_lookout(A)
    await kill(before, A)
    await look_out(before, 100)
    house = await restarted(before)
    await look_out(house, 100)
    assert await kinds(house) == [DOWN, BEGAN]
    await mend(house, A)
    await look_out(house, 1)
    assert await kinds(house) == [DOWN, BEGAN, UP, ENDED]
    (event,) = await told(house, ENDED)
    assert event.attributes["downtime_s"] == "200"
    again = await restarted(house)
    await look_out(again, 5)
    assert await kinds(again) == [DOWN, BEGAN, UP, ENDED]


async def test_an_episode_that_ended_while_the_broker_was_down_is_told_as_over() -> None:
    before = await a_lookout(A, G)
    await kill(before, A)
    await look_out(before, 1)
    house = await restarted(before)
    await mend(house, A)
    await look_out(house, 1)
    assert await kinds(house) == [DOWN, UP]


async def test_what_is_under_way_waits_for_a_history_that_cannot_be_read() -> None:
    history = FlickeringHistory()
    house = await restarted(await a_lookout(A, G), history=history)
    history.is_off = True
    await kill(house, A)
    await look_out(house, 5)
    history.is_off = False
    assert await kinds(house) == []
    await look_out(house, 1)
    assert await kinds(house) == [DOWN]
