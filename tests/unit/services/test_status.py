"""The status tells one moment as it is, and a watcher what has changed."""

import asyncio
from collections.abc import Iterator

import pytest

from broker.core.words import Family, Provenance
from broker.services.standing import KeyState
from broker.services.status import BrokerStatus, ProviderStatus
from tests.fakes import settle
from tests.unit.services.status_given import (
    Desk,
    a_desk,
    a_key,
    billed,
    on_model,
    whole,
)

_watchers: list[asyncio.Task[None]] = []


@pytest.fixture(autouse=True)
def _nobody_watches_on() -> Iterator[None]:
    yield
    while _watchers:
        _watchers.pop().cancel()


def watched(desk: Desk) -> list[BrokerStatus]:
    """What a watcher is shown, growing while time goes on."""
    shown: list[BrokerStatus] = []

    async def watch() -> None:
        async for status in desk.status.watch():
            shown.append(status)  # noqa: PERF401 - the list grows while the stream goes on

    _watchers.append(asyncio.create_task(watch()))
    return shown


def provider(status: BrokerStatus, name: str = "openai") -> ProviderStatus:
    return next(entry for entry in status.providers if entry.provider == name)


async def test_a_fresh_broker_with_keys_is_healthy_and_runnable() -> None:
    desk = await a_desk(a_key("k1"), a_key("k2"))
    status = desk.status.now()
    assert provider(status).keys_by_state == {KeyState.HEALTHY: 2}
    assert provider(status).is_runnable
    assert provider(status).dialect == "spoken"
    assert not status.is_emergency
    assert status.circuits == ()
    assert status.is_store_up
    assert status.pending_facts == 0
    assert status.lag_s == 0


async def test_providers_come_by_name_also_without_keys() -> None:
    status = (await a_desk(a_key("k1"))).status.now()
    assert [entry.provider for entry in status.providers] == ["groq", "openai"]
    assert not provider(status, "groq").is_runnable


@pytest.mark.parametrize(
    ("family", "state"),
    [
        (Family.LIMIT, KeyState.COOLING_DOWN),
        (Family.ACCESS, KeyState.RESTRICTED),
        (Family.QUOTA, KeyState.EXHAUSTED),
        (Family.CREDENTIAL, KeyState.QUARANTINED),
    ],
)
async def test_a_circuit_over_a_whole_key_names_its_state(family: Family, state: KeyState) -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), family)
    assert provider(desk.status.now()).keys_by_state == {state: 1}


async def test_trouble_with_one_model_leaves_the_key_healthy() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(on_model(key), Family.LIMIT)
    status = desk.status.now()
    assert provider(status).keys_by_state == {KeyState.HEALTHY: 1}
    assert provider(status).is_runnable
    assert [view.record.scope for view in status.circuits] == [on_model(key)]


async def test_the_worst_of_several_states_is_shown() -> None:
    key = a_key("k1", account="acme")
    desk = await a_desk(key)
    await desk.fail(billed(key), Family.QUOTA)
    await desk.fail(whole(key), Family.CREDENTIAL)
    assert provider(desk.status.now()).keys_by_state == {KeyState.QUARANTINED: 1}


async def test_a_disabled_key_is_disabled_whatever_its_circuits_say() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.CREDENTIAL)
    await desk.administration.disable_key("ops", "k1", "leaked")
    assert provider(desk.status.now()).keys_by_state == {KeyState.DISABLED: 1}


async def test_nothing_leasable_at_all_is_an_emergency() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.CREDENTIAL)
    assert desk.status.now().is_emergency


async def test_a_broker_without_keys_has_no_emergency() -> None:
    assert not (await a_desk()).status.now().is_emergency


async def test_a_key_for_named_models_is_runnable_while_one_of_them_is() -> None:
    key = a_key("k1", models={"gpt-4o": "", "gpt-mini": ""})
    desk = await a_desk(key)
    await desk.fail(on_model(key, "gpt-4o"), Family.ACCESS)
    assert provider(desk.status.now()).is_runnable
    await desk.administration.disable_upstream("ops", "openai", "gpt-mini", "")
    assert not provider(desk.status.now()).is_runnable


async def test_a_disabled_provider_is_not_runnable() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.administration.disable_upstream("ops", "openai", "", "outage")
    status = desk.status.now()
    assert not provider(status).is_runnable
    assert [mark.subject for mark in status.disabled_upstreams] == ["openai/"]


async def test_circuits_come_with_the_latest_change_first() -> None:
    one, two = a_key("k1"), a_key("k2")
    desk = await a_desk(one, two)
    await desk.fail(whole(one), Family.QUOTA)
    desk.clock.advance(1)
    await desk.fail(whole(two), Family.QUOTA)
    views = desk.status.now().circuits
    assert [view.record.scope.key_id for view in views] == ["k2", "k1"]
    assert all(view.until is not None for view in views)


async def test_beyond_a_thousand_circuits_only_their_number_is_told() -> None:
    keys = [a_key(f"k{number}") for number in range(1003)]
    desk = await a_desk(*keys)
    for key in keys:
        await desk.fail(whole(key), Family.LIMIT)
    status = desk.status.now()
    assert len(status.circuits) == 1000
    assert status.circuit_count == 1003


async def test_a_half_open_circuit_has_no_end_in_sight() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.QUOTA)
    desk.clock.advance(3600)
    (view,) = desk.status.now().circuits
    assert view.state == "half_open"
    assert view.until is None


async def test_keys_rejected_together_are_an_incident() -> None:
    keys = [a_key("k1"), a_key("k2"), a_key("k3")]
    desk = await a_desk(*keys)
    for _ in range(40):
        await desk.report(await desk.granted())
    await desk.fail(whole(keys[0]), Family.CREDENTIAL)
    await desk.fail(whole(keys[1]), Family.CREDENTIAL)
    (incident,) = desk.status.now().incidents
    assert incident.provenance is Provenance.SYSTEM
    assert incident.key_ids == ("k1", "k2")
    assert incident.used == 3
    assert incident.message.startswith("openai rejected 2 of 3 system keys")


async def test_an_upstream_shows_its_window_and_a_provider_its_last_success() -> None:
    desk = await a_desk(a_key("k1"))
    await desk.report(await desk.granted())
    await desk.report(await desk.granted(), 500)
    status = desk.status.now()
    (upstream,) = status.upstreams
    assert (upstream.succeeded, upstream.failed, upstream.uptime) == (1, 1, 0.5)
    assert provider(status).last_success == desk.clock.now()


async def test_a_source_that_cannot_be_read_keeps_its_keys_and_says_so() -> None:
    desk = await a_desk(a_key("k1"))
    read_at = desk.clock.now()
    desk.source.is_down = True
    desk.clock.advance(60)
    await desk.core.refreshing.refresh()
    (source,) = desk.status.now().sources
    assert (source.source, source.key_count, source.read_at) == ("fake", 1, read_at)
    assert len(source.faults) == 1


async def test_a_watcher_gets_the_status_at_once_and_then_each_change_once() -> None:
    desk = await a_desk(a_key("k1"))
    shown = watched(desk)
    await settle()
    assert len(shown) == 1
    await desk.clock.elapse(5)
    assert len(shown) == 1
    await desk.administration.disable_key("ops", "k1", "")
    await desk.administration.enable_key("ops", "k1")
    await desk.administration.disable_key("ops", "k1", "")
    await desk.clock.elapse(5)
    assert len(shown) == 2
    assert provider(shown[1]).keys_by_state == {KeyState.DISABLED: 1}


async def test_a_watcher_is_told_of_what_time_alone_changes() -> None:
    key = a_key("k1")
    desk = await a_desk(key)
    await desk.fail(whole(key), Family.LIMIT, hint_s=3)
    shown = watched(desk)
    await settle()
    await desk.clock.elapse(8)
    states = [[view.state for view in status.circuits] for status in shown]
    assert states == [["open"], ["ramping"], []]
