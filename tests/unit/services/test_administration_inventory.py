"""Lists show what is there page by page, each entry once."""

import pytest

from broker.core.words import Family, Provenance
from broker.services.errors import (
    InvalidFieldError,
    KeyUnknownError,
    PageTokenInvalidError,
    ProviderUnknownError,
)
from broker.services.inventory import EventFilter, KeyFilter
from broker.services.paging import PageRequest
from broker.services.standing import KeyState
from tests.unit.services.status_given import Desk, a_desk, a_key, billed, on_model, whole

ALL = KeyFilter()


def ids(desk: Desk, wanted: KeyFilter = ALL) -> list[str]:
    return [view.key.key_id for view in desk.inventory.keys(wanted, PageRequest()).items]


async def test_keys_come_by_provider_and_id() -> None:
    desk = await a_desk(a_key("b"), a_key("a"), a_key("z", "groq"))
    assert ids(desk) == ["z", "a", "b"]


async def test_every_filter_that_is_set_must_match() -> None:
    tenants = a_key("t", provenance=Provenance.TENANT, owner="acme")
    bad = a_key("bad")
    desk = await a_desk(a_key("good"), bad, tenants, a_key("g", "groq"))
    await desk.fail(whole(bad), Family.CREDENTIAL)
    assert ids(desk, KeyFilter(provider="openai")) == ["bad", "good", "t"]
    assert ids(desk, KeyFilter(provenance=Provenance.TENANT)) == ["t"]
    assert ids(desk, KeyFilter(state=KeyState.QUARANTINED)) == ["bad"]
    assert ids(desk, KeyFilter("groq", Provenance.SYSTEM, KeyState.QUARANTINED)) == []


async def test_keys_that_come_and_go_move_no_other_to_another_page() -> None:
    keys = [a_key(f"k{number}") for number in range(6)]
    desk = await a_desk(*keys)
    first = desk.inventory.keys(ALL, PageRequest(3))
    desk.source.keys = (a_key("a-new-one"), *keys[1:])
    await desk.core.refreshing.refresh()
    second = desk.inventory.keys(ALL, PageRequest(3, first.next_token))
    assert [view.key.key_id for view in first.items] == ["k0", "k1", "k2"]
    assert [view.key.key_id for view in second.items] == ["k3", "k4", "k5"]
    assert second.next_token == ""


async def test_a_token_is_bound_to_its_list_and_filters() -> None:
    desk = await a_desk(a_key("k1"), a_key("k2"))
    token = desk.inventory.keys(ALL, PageRequest(1)).next_token
    for wrong in (token[:-2], token + "x", "x", "é", "A" * 5000):
        with pytest.raises(PageTokenInvalidError):
            desk.inventory.keys(ALL, PageRequest(1, wrong))
    with pytest.raises(PageTokenInvalidError):
        desk.inventory.keys(KeyFilter(provider="openai"), PageRequest(1, token))
    with pytest.raises(PageTokenInvalidError):
        await desk.inventory.events(EventFilter(), PageRequest(1, token))


async def test_a_page_has_a_hundred_entries_unless_asked_otherwise_and_a_thousand_at_most() -> None:
    desk = await a_desk(*(a_key(f"k{number}") for number in range(1001)))
    sizes = [len(desk.inventory.keys(ALL, PageRequest(size)).items) for size in (0, 7, 10**6)]
    assert sizes == [100, 7, 1000]
    with pytest.raises(InvalidFieldError):
        desk.inventory.keys(ALL, PageRequest(-1))


async def test_a_key_shows_the_circuits_over_it_and_its_account_of_its_present_revision() -> None:
    key = a_key("k1", account="main")
    desk = await a_desk(key, a_key("k2"))
    await desk.fail(on_model(key), Family.LIMIT)
    await desk.fail(billed(key), Family.QUOTA)
    await desk.fail(whole(a_key("k1", revision="old")), Family.CREDENTIAL)
    await desk.fail(whole(a_key("k2")), Family.CREDENTIAL)
    view = desk.inventory.key("k1")
    assert view.state is KeyState.EXHAUSTED
    assert view.source == "fake"
    assert {circuit.record.scope for circuit in view.circuits} == {on_model(key), billed(key)}


async def test_unknown_names_are_faults() -> None:
    desk = await a_desk(a_key("k1"))
    with pytest.raises(KeyUnknownError):
        desk.inventory.key("k9")
    with pytest.raises(ProviderUnknownError):
        ids(desk, KeyFilter(provider="opnai"))


async def test_events_come_latest_first_and_new_ones_do_not_shift_the_pages() -> None:
    desk = await a_desk(a_key("k1"))
    for _ in range(2):
        await desk.administration.disable_key("ops", "k1", "")
        await desk.administration.enable_key("ops", "k1")
    wanted = EventFilter(kinds=frozenset({"key_disabled", "key_enabled"}))
    first = await desk.inventory.events(wanted, PageRequest(2))
    await desk.administration.disable_key("ops", "k1", "")
    second = await desk.inventory.events(wanted, PageRequest(2, first.next_token))
    kinds = [event.kind for event in (*first.items, *second.items)]
    assert kinds == ["key_enabled", "key_disabled"] * 2
    assert second.next_token == ""


async def test_events_are_filtered_by_provider_and_time() -> None:
    desk = await a_desk(a_key("k1"), a_key("g1", "groq"))
    desk.clock.advance(10)
    await desk.administration.disable_key("ops", "g1", "")
    since = EventFilter(since=desk.clock.now())
    (event,) = (await desk.inventory.events(since, PageRequest())).items
    assert event.kind == "key_disabled"
    other = EventFilter(provider="openai", since=desk.clock.now())
    assert (await desk.inventory.events(other, PageRequest())).items == ()
