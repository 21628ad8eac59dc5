"""What every store of tenants' keys promises of many that come at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import KeyNames, KeyStore, StoredKey, TenantRecord
from tests.contract.adapters import KEY_STORES
from tests.contract.stored_keys import (
    POLICY,
    SETTINGS,
    create,
    key,
    read_all,
    revision,
)
from tests.fakes import START


@pytest.fixture(params=KEY_STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    async with KEY_STORES[request.param]() as store:
        yield store


def first_policy(key: StoredKey) -> TenantPolicy:
    return replace(POLICY, tenant=key.tenant, provider=key.provider)


def names(key: StoredKey) -> KeyNames:
    revisions = tuple(kept.revision for kept in key.revisions)
    return KeyNames(key.key_id, key.tenant, key.provider, revisions)


async def test_all_keys_come_back_as_they_were_given(store: KeyStore) -> None:
    newest = replace(revision("bb", START + 0.25), authenticated_at=START + 1.5)
    rich = replace(
        key("acme/1"),
        settings=SETTINGS,
        revisions=(newest, revision("aa")),
        updated_at=START + 0.125,
    )
    plain, other = key("acme/2"), key("b/1", tenant="bravo", provider="anthropic")
    await store.create_all([other, plain, rich], first_policy)
    assert await store.tenant("acme") == TenantRecord("acme", {"openai": POLICY}, (rich, plain))
    assert await store.key("b/1") == other


async def test_many_keys_of_few_and_of_many_tenants_are_kept(store: KeyStore) -> None:
    many = [key(f"k{n:04}", tenant=f"t{n % 7}") for n in range(1234)]
    many += [key(f"own{n:04}", tenant=f"tenant {n}") for n in range(1234)]
    await store.create_all(list(reversed(many)), first_policy)
    (page,) = await read_all(store, 5000)
    assert page == [key.key_id for key in many]
    assert (await store.tenant("t3")).policies == {"openai": replace(POLICY, tenant="t3")}


async def test_none_is_no_change(store: KeyStore) -> None:
    await store.create_all([], first_policy)
    assert await store.clashes([]) == {}
    assert await store.page(after=("", ""), limit=1) == []


async def test_a_policy_that_is_set_stays_and_others_come(store: KeyStore) -> None:
    mine = replace(POLICY, mode=PolicyMode.SYSTEM_ONLY, set_by="bob", set_at=START + 60)
    await store.put_policy(mine)
    await store.create_all([key("a/1"), key("a/2", provider="anthropic")], first_policy)
    policies = (await store.tenant("acme")).policies
    assert policies == {"openai": mine, "anthropic": replace(POLICY, provider="anthropic")}


@pytest.mark.parametrize("place", [0, 1700, 3399])
async def test_one_taken_id_anywhere_keeps_all_of_them_out(store: KeyStore, place: int) -> None:
    await create(store, key("taken", tenant="bravo"))
    many = [key(f"k{n:04}", tenant=f"t{n}") for n in range(3400)]
    many[place] = key("taken", tenant="late")
    with pytest.raises(KeyTakenError) as error:
        await store.create_all(many, first_policy)
    assert error.value.wanted == "taken"
    assert await read_all(store, 5) == [["taken"]]
    assert await store.tenant("late") == TenantRecord("late", {}, ())
    assert await store.tenant("t1") == TenantRecord("t1", {}, ())


async def test_one_secret_that_is_kept_already_keeps_all_of_them_out(store: KeyStore) -> None:
    await create(store, key("old", "r1", "r0"))
    many = [*(key(f"k{n:04}") for n in range(1300)), key("twin", "r2", "r0")]
    with pytest.raises(DuplicateSecretError) as error:
        await store.create_all(many, first_policy)
    assert (error.value.key_id, error.value.wanted) == ("old", "twin")
    assert await read_all(store, 5) == [["old"]]


async def test_an_id_given_twice_is_refused(store: KeyStore) -> None:
    with pytest.raises(KeyTakenError) as error:
        await store.create_all([key("a", "r1"), key("b"), key("a", "r2")], first_policy)
    assert error.value.wanted == "a"
    assert await store.page(after=("", ""), limit=1) == []


async def test_a_secret_given_twice_is_refused_for_one_tenant_and_provider_only(
    store: KeyStore,
) -> None:
    with pytest.raises(DuplicateSecretError) as error:
        await store.create_all([key("a", "r1"), key("b", "r0", "r1")], first_policy)
    assert {error.value.key_id, error.value.wanted} == {"a", "b"}
    fine = [key("a", "r1"), key("b", "r1", tenant="bravo"), key("c", "r1", provider="groq")]
    await store.create_all(fine, first_policy)
    assert len((await store.tenant("acme")).keys) == 2


async def test_what_is_in_the_way_is_named_beforehand(store: KeyStore) -> None:
    await create(store, key("a/1", "r1", "r0"), key("b/1", "r1", tenant="bravo"))
    wanted = [
        *(names(key(f"new/{n}", tenant=f"t{n}")) for n in range(1200)),
        names(key("b/1", "r9")),
        names(key("twin", "r7", "r0")),
        names(key("other provider", "r1", provider="groq")),
        names(key("other tenant", "r0", tenant="bravo")),
    ]
    assert await store.clashes(wanted) == {"b/1": "b/1", "twin": "a/1"}


async def test_odd_names_are_looked_for_to_the_letter(store: KeyStore) -> None:
    odd = [key(f"{name}/1", f"{name}%s?", tenant=name) for name in ("é'\"", "%s", "?", "A", "a")]
    await store.create_all(odd, first_policy)
    twins = [replace(one, key_id=f"{one.key_id} twin") for one in odd]
    found = await store.clashes([names(twin) for twin in twins])
    assert found == {f"{one.key_id} twin": one.key_id for one in odd}


async def test_of_imports_and_creations_that_race_for_names_each_name_is_won_once(
    store: KeyStore,
) -> None:
    """Whatever wins is whole, and everybody else is told."""
    first = [key(f"k{n:03}", f"one {n}", tenant=f"t{n % 5}") for n in range(300)]
    second = [key(f"k{n:03}", f"two {n}", tenant=f"t{n % 3}") for n in range(299, 600)]
    single = key("k500", "single", tenant="t9")
    results = await asyncio.gather(
        store.create_all(first, first_policy),
        store.create_all(list(reversed(second)), first_policy),
        store.create(single, first_policy(single)),
        return_exceptions=True,
    )
    assert {type(result) for result in results} <= {type(None), KeyTakenError}
    kept = {one.revisions[0].revision for one in await store.page(after=("", ""), limit=1000)}
    for group, result in zip((first, second, [single]), results, strict=True):
        ours = {one.revisions[0].revision for one in group}
        assert ours <= kept if result is None else ours.isdisjoint(kept)
