"""What every store of tenants' keys promises of keys, policies and pages."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.core.key import KeySettings
from broker.core.tenancy import PolicyMode
from broker.core.words import DenialReason
from broker.ports.errors import KeyTakenError
from broker.ports.key_store import KeyStore, TenantRecord
from tests.contract.adapters import KEY_STORES
from tests.contract.stored_keys import (
    POLICY,
    SETTINGS,
    create,
    kept,
    key,
    names_of,
    read_all,
    revision,
)
from tests.fakes import START


@pytest.fixture(params=KEY_STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    async with KEY_STORES[request.param]() as store:
        yield store


async def test_nothing_is_known_of_a_tenant_that_nobody_named(store: KeyStore) -> None:
    assert await store.tenant("acme") == TenantRecord("acme", {}, ())
    assert await store.key("acme/1") is None
    assert await store.page(after=("", ""), limit=10) == []


async def test_a_key_comes_back_as_it_was_created(store: KeyStore) -> None:
    newest = replace(revision("bb", START + 0.25), authenticated_at=START + 1.5)
    made = replace(
        key("acme/1"),
        settings=SETTINGS,
        revisions=(newest, revision("aa")),
        updated_at=START + 0.125,
    )
    await create(store, made)
    assert await store.key("acme/1") == made
    assert await store.tenant("acme") == TenantRecord("acme", {"openai": POLICY}, (made,))
    assert await store.page(after=("", ""), limit=10) == [made]


async def test_the_models_of_a_key_keep_their_order(store: KeyStore) -> None:
    await create(store, replace(key("acme/1"), settings=SETTINGS))
    models = (await kept(store, "acme/1")).settings.models
    assert list(models.items()) == list(SETTINGS.models.items())


@pytest.mark.parametrize("name", ["Ünïcode ☃", "a/b", "with 'quotes' \"and\" %_*?", " ", "A\nB"])
async def test_names_are_kept_to_the_letter(store: KeyStore, name: str) -> None:
    made = key(f"{name}/1", tenant=name, provider=name)
    await create(store, made, key("other/1", tenant=f"{name}x"))
    assert (await store.tenant(name)).keys == (made,)
    assert await read_all(store, 5, provider=name) == [[made.key_id]]
    assert await store.delete(made.key_id)


async def test_names_that_differ_in_case_are_different(store: KeyStore) -> None:
    await create(store, key("acme/1"), key("ACME/1", tenant="ACME", provider="OpenAI"))
    assert [k.key_id for k in (await store.tenant("ACME")).keys] == ["ACME/1"]
    assert await read_all(store, 5, provider="openai") == [["acme/1"]]


async def test_a_tenant_has_its_own_keys_only(store: KeyStore) -> None:
    await create(store, key("a/2"), key("a/1"), key("b/1", tenant="bravo"))
    await create(store, key("a/0", provider="anthropic"))
    record = await store.tenant("acme")
    assert {key.key_id for key in record.keys} == {"a/0", "a/1", "a/2"}
    assert record.policies.keys() == {"anthropic", "openai"}


async def test_a_taken_id_is_refused_and_changes_nothing(store: KeyStore) -> None:
    await create(store, key("acme/1"))
    with pytest.raises(KeyTakenError):
        await create(store, key("acme/1", tenant="bravo", provider="anthropic"))
    assert await store.key("acme/1") == key("acme/1")
    assert await store.tenant("bravo") == TenantRecord("bravo", {}, ())


async def test_the_first_key_brings_a_policy_and_a_later_one_none(store: KeyStore) -> None:
    await create(store, key("acme/1"))
    mine = replace(POLICY, mode=PolicyMode.TENANT_THEN_SYSTEM, set_by="bob", set_at=START + 60)
    await store.put_policy(mine)
    await create(store, key("acme/2"), key("acme/3", provider="anthropic"))
    policies = (await store.tenant("acme")).policies
    assert policies == {"openai": mine, "anthropic": replace(POLICY, provider="anthropic")}


async def test_a_policy_that_came_before_the_first_key_stays(store: KeyStore) -> None:
    mine = replace(POLICY, mode=PolicyMode.SYSTEM_ONLY)
    await store.put_policy(mine)
    await create(store, key("acme/1"))
    assert (await store.tenant("acme")).policies == {"openai": mine}


async def test_a_policy_comes_back_as_it_was_put_and_replaces_its_own_only(
    store: KeyStore,
) -> None:
    reasons = frozenset({DenialReason.COOLING_DOWN, DenialReason.EXHAUSTED})
    first = replace(POLICY, mode=PolicyMode.TENANT_THEN_SYSTEM, fall_through=reasons)
    other, theirs = replace(first, provider="anthropic"), replace(first, tenant="bravo")
    for policy in (first, other, theirs):
        await store.put_policy(policy)
    later = replace(POLICY, mode=PolicyMode.SYSTEM_ONLY, set_by="", set_at=START + 60.5)
    await store.put_policy(later)
    assert (await store.tenant("acme")).policies == {"openai": later, "anthropic": other}
    assert (await store.tenant("bravo")).policies == {"openai": theirs}


async def test_an_update_replaces_the_settings_and_nothing_else(store: KeyStore) -> None:
    await create(store, key("acme/1"), key("acme/2"))
    assert await store.update("acme/1", SETTINGS, START + 60.5)
    expected = replace(key("acme/1"), settings=SETTINGS, updated_at=START + 60.5)
    assert await store.key("acme/1") == expected
    assert await store.update("acme/1", KeySettings(), START + 61)
    assert (await kept(store, "acme/1")).settings == KeySettings()
    assert await store.key("acme/2") == key("acme/2")


async def test_an_update_may_bring_secrets_sealed_anew(store: KeyStore) -> None:
    await create(store, key("acme/1"), key("acme/2"))
    (known,) = key("acme/1").revisions
    sealed = replace(known.sealed, wrapped_key=b"w" * 60, ciphertext=b"c" * 40)
    resealed = {known.revision: sealed, "unknown": sealed}
    assert await store.update("acme/1", SETTINGS, START + 60.5, resealed)
    expected = replace(key("acme/1"), settings=SETTINGS, updated_at=START + 60.5)
    assert await store.key("acme/1") == replace(
        expected, revisions=(replace(known, sealed=sealed),)
    )
    assert await store.key("acme/2") == key("acme/2")


async def test_what_is_not_there_cannot_be_changed(store: KeyStore) -> None:
    assert not await store.update("acme/1", SETTINGS, START)
    assert not await store.add_revision("acme/1", revision("aa"))
    assert not await store.delete("acme/1")
    await store.drop_revision("acme/1", "aa")
    await store.note_authenticated("acme/1", "aa", START)
    assert await store.key("acme/1") is None


async def test_a_deleted_key_is_gone_and_its_policy_stays(store: KeyStore) -> None:
    await create(store, key("acme/1"), key("acme/2"))
    assert await store.delete("acme/1")
    assert not await store.delete("acme/1")
    assert await store.key("acme/1") is None
    assert await store.tenant("acme") == TenantRecord("acme", {"openai": POLICY}, (key("acme/2"),))
    await create(store, key("acme/1", "another"))
    assert await names_of(store, "acme/1") == ["another"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_hold_every_key_once_in_order(store: KeyStore, limit: int) -> None:
    ids = ["k/10", "k/9", "K/1", "é", "z", "", "k"]
    for number, key_id in enumerate(ids):
        provider = "anthropic" if number % 2 else "openai"
        await create(store, key(key_id or "~", provider=provider, tenant=f"t{number}"))
    pages = await read_all(store, limit)
    assert [key_id for page in pages for key_id in page] == [
        *sorted(["k/9", "é", "~"]),
        *sorted(["k/10", "K/1", "z", "k"]),
    ]
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_page_has_only_keys_that_pass_every_filter(store: KeyStore) -> None:
    await create(store, key("a/1"), key("a/2", provider="anthropic"), key("a/3"))
    await create(store, key("b/1", tenant="bravo"))
    assert await read_all(store, 1, provider="openai") == [["a/1"], ["a/3"], ["b/1"]]
    assert await read_all(store, 5, tenant="acme") == [["a/2", "a/1", "a/3"]]
    assert await read_all(store, 1, provider="openai", tenant="acme") == [["a/1"], ["a/3"]]
    assert await read_all(store, 5, tenant="nobody") == []


async def test_a_page_goes_on_where_the_key_it_ended_with_is_gone(store: KeyStore) -> None:
    await create(store, key("a/1"), key("a/2"), key("a/3"))
    await store.delete("a/2")
    page = await store.page(after=("openai", "a/2"), limit=5)
    assert [key.key_id for key in page] == ["a/3"]


async def test_what_was_read_does_not_change_with_the_store(store: KeyStore) -> None:
    await create(store, key("acme/1"))
    before = await store.tenant("acme")
    await store.put_policy(replace(POLICY, mode=PolicyMode.SYSTEM_ONLY))
    await store.delete("acme/1")
    assert before == TenantRecord("acme", {"openai": POLICY}, (key("acme/1"),))


async def test_keys_can_be_paged_by_when_they_expire(store: KeyStore) -> None:
    at = datetime(2027, 1, 31, tzinfo=UTC)
    settings = replace(SETTINGS, expires_at=at)
    soon, never = replace(key("a/1"), settings=settings), key("a/2")
    await create(store, soon, never, key("a/3"))
    by = at.timestamp()
    assert await store.page(after=("", ""), limit=10, expires_by=by) == [soon]
    assert await store.page(after=("", ""), limit=10, expires_by=by - 1) == []
    assert await store.page(after=("openai", "a/1"), limit=10, expires_by=by) == []
