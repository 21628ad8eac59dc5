"""What a source said is believed for so long, and not longer; nothing is forgotten meanwhile."""

from dataclasses import replace

import pytest

from broker.app.servicers import make_servicers
from broker.core.words import DenialReason, Family, LeaseState
from broker.ports.key_source import SourceFault
from broker.services.acquisition import AcquireRequest
from broker.services.errors import SourceStaleError
from broker.services.explain import WouldGrant
from broker.services.gauges import Gauges
from tests.fakes import FakeKeySource
from tests.unit.services.answers import BAD_KEY, GPT, LIMITED, LLAMA, MINI, OK
from tests.unit.services.house import GATEWAY, House
from tests.unit.services.rotation_given import NEW, OLD, served
from tests.unit.services.sources_given import STALE_S, RemoteSource, house_of, passes, told
from tests.unit.services.status_given import a_key, on_model, whole

OTHER = a_key("o")
STALE_EVENTS = ("source_stale", "source_back")


async def unread(house: House, source: FakeKeySource, seconds: float) -> None:
    """Time passes, and the source cannot be read."""
    source.is_down = True
    house.clock.advance(seconds - 1)
    await passes(house)


async def stale(*beside: FakeKeySource) -> tuple[House, RemoteSource]:
    source = RemoteSource(OLD)
    house = await house_of(source, *beside)
    await unread(house, source, STALE_S)
    return house, source


async def test_keys_of_a_source_that_is_away_serve_until_they_are_stale() -> None:
    source = RemoteSource(OLD)
    house = await house_of(source)
    await unread(house, source, STALE_S - 1)
    await house.lease()
    await passes(house)
    with pytest.raises(SourceStaleError) as caught:
        await house.acquire()
    assert caught.value.metadata == {"source": "remote", "provider": "openai"}
    assert await told(house, *STALE_EVENTS) == ["source_stale"]


async def test_all_is_as_before_when_the_source_is_back() -> None:
    source = RemoteSource(OLD, OTHER)
    house = await house_of(source)
    await house.report(await house.lease(MINI, excluded=("o",)), LIMITED)
    await house.report(await house.lease(excluded=("k",)), BAD_KEY)
    known = [record.scope for record in house.core.health.circuits()]
    assert known == [on_model(OLD, "gpt-mini"), whole(OTHER)]
    await unread(house, source, STALE_S)
    assert house.circuit(whole(OTHER), Family.CREDENTIAL) is not None
    source.is_down = False
    await house.core.refreshing.refresh()
    for _ in range(5):
        assert (await house.lease()).key == OLD
    assert await told(house, *STALE_EVENTS) == ["source_stale", "source_back"]
    assert await told(house, "key_added", "key_removed") == []


async def test_leases_that_are_out_live_on_and_can_be_renewed() -> None:
    source = RemoteSource(OLD)
    house = await house_of(source)
    await unread(house, source, STALE_S - 10)
    lease = await house.lease()
    await passes(house, 20)
    with pytest.raises(SourceStaleError):
        await house.acquire()
    await house.core.leasing.renew(GATEWAY, lease.lease_id, 300)
    answer = await house.report(lease, OK, keep_lease=True)
    assert answer.lease_state is LeaseState.LIVE


async def test_keys_of_other_sources_serve_on() -> None:
    house, _ = await stale(FakeKeySource([OTHER]))
    for _ in range(5):
        assert (await house.lease()).key == OTHER


async def test_what_speaks_against_other_keys_is_the_better_answer() -> None:
    house, _ = await stale(FakeKeySource([OTHER]))
    await house.call(LIMITED)
    assert await house.refused() is DenialReason.COOLING_DOWN


async def test_a_fallback_serves_instead() -> None:
    house, _ = await stale(FakeKeySource([a_key("g", "groq")]))
    assert (await house.lease(fallbacks=(LLAMA,))).key.provider == "groq"
    denial = await house.denial(LLAMA, excluded=("g",), fallbacks=(GPT,))
    assert denial.reason is DenialReason.ALL_TRIED


async def test_a_model_that_only_the_stale_key_allows_is_stale_not_forbidden() -> None:
    other = replace(OTHER, models={"gpt-mini": ""})
    house, _ = await stale(FakeKeySource([other]))
    with pytest.raises(SourceStaleError):
        await house.acquire()
    await house.lease(MINI)


async def test_a_key_that_was_rotated_elsewhere_while_the_source_was_away_is_no_trouble() -> None:
    house, source = await stale()
    source.is_down, source.keys = False, (NEW,)
    await house.core.refreshing.refresh()
    await house.probe()
    assert await served(house) == "new"


async def test_a_source_that_was_never_read_is_not_stale_but_has_no_keys() -> None:
    source = RemoteSource(OLD)
    source.is_down = True
    house = await house_of(source)
    await unread(house, source, STALE_S)
    assert await house.refused() is DenialReason.NO_KEYS
    assert await told(house, *STALE_EVENTS) == []


async def test_keys_that_stay_only_because_of_a_fault_are_stale_by_themselves() -> None:
    """An access that was taken from the broker must not leave a key in use for ever."""
    source = RemoteSource(OLD, OTHER)
    house = await house_of(source)
    source.keys, source.faults = (OTHER,), (SourceFault("keybroker/k", "may not be read"),)
    await passes(house, STALE_S - 1)
    assert (await house.lease(excluded=("o",))).key == OLD
    await passes(house, 70)
    for _ in range(5):
        assert (await house.lease()).key == OTHER
    (event,) = await house.events("source_stale")
    assert event.message.endswith("until it does: k")
    source.keys, source.faults = (OLD, OTHER), ()
    await house.core.refreshing.refresh()
    assert (await house.lease(excluded=("o",))).key == OLD


async def test_status_says_what_is_stale_and_since_when() -> None:
    house, source = await stale()
    status = make_servicers(house.core, {}).status.status.now()
    (shown,) = status.sources
    assert (shown.source, shown.is_stale, shown.is_from_copy) == ("remote", True, False)
    assert shown.expires_at == house.clock.now()
    assert status.is_emergency
    assert not any(provider.is_runnable for provider in status.providers)
    source.is_down = False
    await house.core.refreshing.refresh()
    status = make_servicers(house.core, {}).status.status.now()
    (shown,) = status.sources
    assert not shown.is_stale
    assert shown.expires_at == house.clock.now() + STALE_S
    assert not status.is_emergency


async def test_gauges_show_what_is_stale() -> None:
    house, _ = await stale(FakeKeySource([OTHER]))
    core = house.core
    gauges = Gauges(core.keyring, core.health, core.marks, core.refreshing, house.clock).take()
    assert gauges.stale_keys == {"groq": 0, "openai": 1, "public": 0}
    assert gauges.source_states == {"remote": "stale", "fake": "read"}
    assert gauges.source_ages_s == {"remote": STALE_S, "fake": 0.0}


async def test_explaining_says_whose_source_is_stale() -> None:
    house, _ = await stale(FakeKeySource([a_key("g", "groq")]))
    explain = make_servicers(house.core, {}).status.explain
    explained = await explain.acquire("gateway", AcquireRequest(GPT))
    assert not isinstance(explained.answer, WouldGrant)
    assert "their source, remote, could not be read" in explained.answer.message
    (key,) = explained.upstreams[0].keys
    assert not key.is_leasable
    assert key.answers[0].detail == "its source, remote, has not confirmed it for too long"
