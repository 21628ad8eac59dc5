"""What every store of operators' marks promises."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.ports.mark_store import Mark, MarkKind, MarkStore
from tests.contract.adapters import MARK_STORES
from tests.fakes import START

DISABLED = Mark(MarkKind.KEY_DISABLED, "openai/1", START, "alice", "leaked")
REVOKED = Mark(MarkKind.KEY_REVOKED, "openai/1", START, "alice")


@pytest.fixture(params=MARK_STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[MarkStore]:
    async with MARK_STORES[request.param]() as store:
        yield store


async def test_a_new_store_has_no_marks(store: MarkStore) -> None:
    assert await store.marks() == ()


async def test_a_mark_comes_back_as_it_was_put(store: MarkStore) -> None:
    await store.put(DISABLED)
    assert await store.marks() == (DISABLED,)


async def test_a_mark_replaces_the_one_of_its_kind_and_subject_only(store: MarkStore) -> None:
    other = replace(DISABLED, subject="openai/2")
    for mark in (DISABLED, REVOKED, other):
        await store.put(mark)
    later = replace(REVOKED, at=START + 60.0, principal="bob")
    await store.put(later)
    assert set(await store.marks()) == {DISABLED, later, other}


async def test_a_mark_that_is_lifted_is_gone(store: MarkStore) -> None:
    await store.put(DISABLED)
    await store.put(REVOKED)
    await store.remove(MarkKind.KEY_DISABLED, "openai/1")
    assert await store.marks() == (REVOKED,)


async def test_lifting_a_mark_that_is_not_set_is_no_fault(store: MarkStore) -> None:
    await store.remove(MarkKind.TENANT_REVOKED, "acme")
    assert await store.marks() == ()
