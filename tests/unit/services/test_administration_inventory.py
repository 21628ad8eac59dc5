"""Lists show what is there page by page, each entry once."""

import pytest

from broker.adapters.seal import ClosedSealer
from broker.app.world import Tenancy
from broker.core.key import Key
from broker.core.revisions import Stage
from broker.core.words import Family, Provenance
from broker.ports.errors import StoreUnavailableError
from broker.services import inventory
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


async def ids(desk: Desk, wanted: KeyFilter = ALL) -> list[str]:
    return [view.key.key_id for view in (await desk.inventory.keys(wanted, PageRequest())).items]


async def test_keys_come_by_provider_and_id() -> None:
    desk = await a_desk(a_key("b"), a_key("a"), a_key("z", "groq"))
    assert await ids(desk) == ["z", "a", "b"]


async def test_every_filter_that_is_set_must_match() -> None:
    bad = a_key("bad")
    desk = await a_desk(a_key("good"), bad, a_key("g", "groq"))
    await desk.keep("t")
    await desk.fail(whole(bad), Family.CREDENTIAL)
    assert await ids(desk, KeyFilter(provider="openai")) == ["bad", "good", "t"]
    assert await ids(desk, KeyFilter(provenance=Provenance.TENANT)) == ["t"]
    assert await ids(desk, KeyFilter(state=KeyState.QUARANTINED)) == ["bad"]
    assert await ids(desk, KeyFilter("groq", Provenance.SYSTEM, KeyState.QUARANTINED)) == []


async def test_keys_that_come_and_go_move_no_other_to_another_page() -> None:
    keys = [a_key(f"k{number}") for number in range(6)]
    desk = await a_desk(*keys)
    first = await desk.inventory.keys(ALL, PageRequest(3))
    desk.source.keys = (a_key("a-new-one"), *keys[1:])
    await desk.core.refreshing.refresh()
    second = await desk.inventory.keys(ALL, PageRequest(3, first.next_token))
    assert [view.key.key_id for view in first.items] == ["k0", "k1", "k2"]
    assert [view.key.key_id for view in second.items] == ["k3", "k4", "k5"]
    assert second.next_token == ""


async def test_a_token_is_bound_to_its_list_and_filters() -> None:
    desk = await a_desk(a_key("k1"), a_key("k2"))
    token = (await desk.inventory.keys(ALL, PageRequest(1))).next_token
    for wrong in (token[:-2], token + "x", "x", "é", "A" * 5000):
        with pytest.raises(PageTokenInvalidError):
            await desk.inventory.keys(ALL, PageRequest(1, wrong))
    with pytest.raises(PageTokenInvalidError):
        await desk.inventory.keys(KeyFilter(provider="openai"), PageRequest(1, token))
    with pytest.raises(PageTokenInvalidError):
        await desk.inventory.events(EventFilter(), PageRequest(1, token))


async def test_a_page_has_a_hundred_entries_unless_asked_otherwise_and_a_thousand_at_most() -> None:
    desk = await a_desk(*(a_key(f"k{number}") for number in range(1001)))
    sizes = [
        len((await desk.inventory.keys(ALL, PageRequest(size))).items) for size in (0, 7, 10**6)
    ]
    assert sizes == [100, 7, 1000]
    with pytest.raises(InvalidFieldError):
        await desk.inventory.keys(ALL, PageRequest(-1))


async def test_a_key_shows_the_circuits_over_it_and_its_account_of_its_present_revision() -> None:
    key = a_key("k1", account="main")
    desk = await a_desk(key, a_key("k2"))
    await desk.fail(on_model(key), Family.LIMIT)
    await desk.fail(billed(key), Family.QUOTA)
    await desk.fail(whole(a_key("k1", revision="old")), Family.CREDENTIAL)
    await desk.fail(whole(a_key("k2")), Family.CREDENTIAL)
    view = await desk.inventory.key("k1")
    assert view.state is KeyState.EXHAUSTED
    assert view.source == "fake"
    assert {circuit.record.scope for circuit in view.circuits} == {on_model(key), billed(key)}


async def test_unknown_names_are_faults() -> None:
    desk = await a_desk(a_key("k1"))
    with pytest.raises(KeyUnknownError):
        await desk.inventory.key("k9")
    with pytest.raises(ProviderUnknownError):
        await ids(desk, KeyFilter(provider="opnai"))


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


async def a_shelf(*keys: Key, tenants: int = 0) -> Desk:
    """System keys, and one key of each tenant, none of them at hand."""
    desk = await a_desk(*keys, tenancy=Tenancy(cache_size=0))
    for number in range(tenants):
        await desk.keep(f"k{number:02}5", f"tenant-{number}")
    return desk


async def test_tenants_keys_come_in_their_place_among_system_keys() -> None:
    desk = await a_shelf(*(a_key(f"k{number:02}") for number in range(9)), tenants=7)
    every = await ids(desk)
    assert every == sorted(every)
    assert len(every) == 16
    for size in (1, 2, 3, 7):
        token, seen = "", list[str]()
        while True:
            page = await desk.inventory.keys(ALL, PageRequest(size, token))
            seen += [view.key.key_id for view in page.items]
            assert len(page.items) == size or not page.next_token
            token = page.next_token
            if not token:
                break
        assert seen == every


async def test_keys_are_filtered_by_their_tenant() -> None:
    desk = await a_shelf(a_key("s1"), tenants=3)
    assert await ids(desk, KeyFilter(tenant="tenant-1")) == ["k015"]
    assert await ids(desk, KeyFilter(tenant="nobody")) == []
    assert await ids(desk, KeyFilter(provenance=Provenance.SYSTEM)) == ["s1"]
    assert await ids(desk, KeyFilter(provenance=Provenance.SYSTEM, tenant="tenant-1")) == []


async def test_a_page_costs_a_page_however_many_keys_there_are() -> None:
    desk = await a_shelf(tenants=60)
    desk.store.pages = 0
    page = await desk.inventory.keys(ALL, PageRequest(10))
    assert len(page.items) == 10
    assert desk.store.pages == 1


async def test_a_page_of_a_rare_state_is_short_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inventory, "MAX_SCANNED", 20)
    desk = await a_shelf(tenants=50)
    await desk.administration.disable_key("ops", "k455", "")
    token, pages = "", list[int]()
    while not pages or token:
        page = await desk.inventory.keys(KeyFilter(state=KeyState.DISABLED), PageRequest(5, token))
        pages.append(len(page.items))
        token = page.next_token
    assert pages == [0, 0, 1]


async def test_a_tenants_key_that_is_not_at_hand_is_shown_as_it_would_be() -> None:
    desk = await a_shelf(tenants=1)
    async with desk.core.tenants.using("tenant-0"):
        key = desk.core.keyring.key("k005")
    await desk.fail(whole(key), Family.CREDENTIAL)
    assert desk.core.keyring.find("k005") is None
    view = await desk.inventory.key("k005")
    assert (view.state, view.source, view.key.owner) == ("quarantined", "database", "tenant-0")
    assert view.created_at == desk.clock.now()
    assert [(one.revision, one.stage) for one in view.revisions] == [(key.revision, Stage.IN_USE)]


async def test_without_the_store_only_what_is_at_hand_is_shown() -> None:
    desk = await a_desk(a_key("s1"))
    await desk.keep("t1")
    await desk.keep("t2", "other")
    desk.core.tenants.doubt("other")
    desk.store.is_down = True
    assert (await desk.inventory.key("s1")).state is KeyState.HEALTHY
    view = await desk.inventory.key("t1")
    assert (view.state, view.created_at) == (KeyState.HEALTHY, None)
    for call in (desk.inventory.key("t2"), desk.inventory.keys(ALL, PageRequest())):
        with pytest.raises(StoreUnavailableError):
            await call
    assert await ids(desk, KeyFilter(provenance=Provenance.SYSTEM)) == ["s1"]


async def test_without_the_sealing_key_tenants_keys_are_shown_as_unreadable() -> None:
    desk = await a_desk()
    await desk.keep("t1")
    closed = await a_desk(a_key("s1"), store=desk.store, sealer=ClosedSealer("it is missing"))
    page = await closed.inventory.keys(ALL, PageRequest())
    states = {view.key.key_id: view.state for view in page.items}
    assert states == {"s1": KeyState.HEALTHY, "t1": KeyState.UNREADABLE}
    assert await closed.leased_for("acme") == "TENANT_KEY_UNUSABLE"
    assert await closed.leased_for("other") == "s1"
