"""What every store of last good revisions promises."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.core.sealed import SealedSecret
from broker.ports.last_good import LastGood, LastGoodStore
from tests.contract.adapters import LAST_GOOD_STORES
from tests.fakes import START

SEALED = SealedSecret("0123456789abcdef", bytes(range(60)), bytes(range(256)))
FIRST = LastGood("openai/1", "openai", "aa", SEALED, START)
OTHER = replace(FIRST, key_id="openai/2")


@pytest.fixture(params=LAST_GOOD_STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[LastGoodStore]:
    async with LAST_GOOD_STORES[request.param]() as store:
        yield store


async def test_a_new_store_is_empty(store: LastGoodStore) -> None:
    assert await store.all() == ()


async def test_what_was_put_comes_back_to_the_byte(store: LastGoodStore) -> None:
    await store.put(FIRST)
    assert await store.all() == (FIRST,)


async def test_a_key_has_one_last_good_revision(store: LastGoodStore) -> None:
    await store.put(FIRST)
    await store.put(OTHER)
    sealed = SealedSecret("fedcba9876543210", b"other", b"")
    later = LastGood("openai/1", "openai", "bb", sealed, START + 60.5)
    await store.put(later)
    assert set(await store.all()) == {later, OTHER}


async def test_what_was_removed_is_gone(store: LastGoodStore) -> None:
    await store.put(FIRST)
    await store.put(OTHER)
    await store.remove("openai/1")
    assert await store.all() == (OTHER,)


async def test_removing_what_is_not_there_is_no_fault(store: LastGoodStore) -> None:
    await store.remove("openai/1")
    assert await store.all() == ()
