"""What every store of tenants' keys promises of secrets, also to many who change them at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import KeyStore
from tests.contract.adapters import KEY_STORES
from tests.contract.stored_keys import create, kept, key, names_of, read_all, revision
from tests.fakes import START


@pytest.fixture(params=KEY_STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    async with KEY_STORES[request.param]() as store:
        yield store


async def test_a_secret_of_another_key_of_the_pool_is_refused_with_its_name(
    store: KeyStore,
) -> None:
    await create(store, key("acme/1", "bb", "aa"))
    for name in ("aa", "bb"):
        with pytest.raises(DuplicateSecretError) as caught:
            await create(store, key("acme/2", name, "cc"))
        assert caught.value.key_id == "acme/1"
    assert await store.key("acme/2") is None


async def test_the_same_secret_in_another_pool_is_none_of_its_business(store: KeyStore) -> None:
    await create(store, key("a/1", "aa"), key("a/2", "aa", provider="anthropic"))
    await create(store, key("b/1", "aa", tenant="bravo"))
    assert await store.add_revision("b/1", revision("bb"))
    assert await read_all(store, 5) == [["a/2", "a/1", "b/1"]]


async def test_a_secret_is_free_again_when_its_revision_or_key_is_gone(store: KeyStore) -> None:
    await create(store, key("acme/1", "bb", "aa"))
    await store.drop_revision("acme/1", "aa")
    await create(store, key("acme/2", "aa"))
    await store.delete("acme/1")
    await create(store, key("acme/3", "bb"))
    assert await read_all(store, 5) == [["acme/2", "acme/3"]]


async def test_a_new_revision_is_the_newest(store: KeyStore) -> None:
    await create(store, key("acme/1", "aa"))
    for number, name in enumerate(("cc", "bb"), 1):
        assert await store.add_revision("acme/1", revision(name, START + number))
    found = await kept(store, "acme/1")
    expected = (revision("bb", START + 2), revision("cc", START + 1), revision("aa"))
    assert found.revisions == expected
    assert found.created_at == START


async def test_the_newest_revision_is_the_last_added_whatever_the_clock_says(
    store: KeyStore,
) -> None:
    await create(store, key("acme/1", "aa"))
    await store.add_revision("acme/1", revision("bb", START - 3600))
    await store.add_revision("acme/1", revision("cc", START - 3600))
    assert await names_of(store, "acme/1") == ["cc", "bb", "aa"]


async def test_a_revision_that_is_kept_becomes_the_newest_again(store: KeyStore) -> None:
    await create(store, key("acme/1", "bb", "aa"))
    await store.note_authenticated("acme/1", "aa", START + 1)
    assert await store.add_revision("acme/1", revision("aa", START + 2))
    assert await names_of(store, "acme/1") == ["aa", "bb"]
    assert (await kept(store, "acme/1")).revisions[0].authenticated_at == START + 1
    assert await store.add_revision("acme/1", revision("aa", START + 3))
    assert await names_of(store, "acme/1") == ["aa", "bb"]


async def test_a_revision_of_another_key_of_the_pool_is_refused(store: KeyStore) -> None:
    await create(store, key("acme/1", "bb", "aa"), key("acme/2", "cc"))
    with pytest.raises(DuplicateSecretError) as caught:
        await store.add_revision("acme/2", revision("aa"))
    assert caught.value.key_id == "acme/1"
    assert await store.key("acme/2") == key("acme/2", "cc")


async def test_a_dropped_revision_is_gone_and_the_newest_one_stays(store: KeyStore) -> None:
    await create(store, key("acme/1", "cc", "bb", "aa"))
    for name in ("bb", "unknown", "cc", "aa", "cc"):
        await store.drop_revision("acme/1", name)
    assert (await kept(store, "acme/1")).revisions == (revision("cc"),)


async def test_a_revision_that_became_the_newest_again_is_not_dropped(store: KeyStore) -> None:
    """Another broker may still want to drop it, since it drained there."""
    await create(store, key("acme/1", "bb", "aa"))
    await store.add_revision("acme/1", revision("aa", START + 2))
    await store.drop_revision("acme/1", "aa")
    assert await names_of(store, "acme/1") == ["aa", "bb"]


async def test_what_authenticated_is_remembered_of_its_revision_only(store: KeyStore) -> None:
    await create(store, key("acme/1", "bb", "aa"), key("other/1", "aa", tenant="bravo"))
    await store.note_authenticated("acme/1", "aa", START + 60.5)
    await store.note_authenticated("acme/1", "unknown", START + 61)
    accepted = replace(revision("aa"), authenticated_at=START + 60.5)
    assert (await kept(store, "acme/1")).revisions == (revision("bb"), accepted)
    assert await store.key("other/1") == key("other/1", "aa", tenant="bravo")


async def test_of_many_that_want_one_id_one_gets_it(store: KeyStore) -> None:
    keys = [key("acme/1", f"r{number}") for number in range(8)]
    results = await asyncio.gather(*(create(store, k) for k in keys), return_exceptions=True)
    refusals = [result for result in results if result is not None]
    assert len(refusals) == 7
    assert all(isinstance(refusal, KeyTakenError) for refusal in refusals)
    assert await store.key("acme/1") == keys[results.index(None)]


async def test_of_many_that_want_one_secret_one_gets_it(store: KeyStore) -> None:
    await create(store, *(key(f"acme/{number}") for number in range(8)))
    wanted = revision("wanted")
    results = await asyncio.gather(
        *(store.add_revision(f"acme/{number}", wanted) for number in range(8)),
        return_exceptions=True,
    )
    refusals = [result for result in results if isinstance(result, DuplicateSecretError)]
    assert (results.count(True), len(refusals)) == (1, 7)
    winner = f"acme/{results.index(True)}"
    assert {refusal.key_id for refusal in refusals} == {winner}
    assert await names_of(store, winner) == ["wanted", f"revision of {winner}"]


async def test_changes_at_once_all_count(store: KeyStore) -> None:
    await create(store, key("acme/1"))
    names = [f"r{number}" for number in range(8)]
    await asyncio.gather(*(store.add_revision("acme/1", revision(name)) for name in names))
    await asyncio.gather(*(store.note_authenticated("acme/1", name, START) for name in names))
    found = {kept.revision: kept for kept in (await kept(store, "acme/1")).revisions}
    assert all(found[name].authenticated_at == START for name in names)
