"""What all sealed rows promise."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from broker.core.key import KeySettings
from broker.core.sealed import Binding, SealedSecret
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.last_good import LastGood
from broker.ports.sealed_rows import Resealed, RowName, SealedRow, SealedRows
from tests.contract.sealed_rigs import SEALED_ROWS, RowsRig
from tests.contract.stored_keys import POLICY, create, kept
from tests.fakes import START

OLD, NEW, LOST = "0" * 16, "1" * 16, "f" * 16
URL = "https://eu.example/v1"


@pytest.fixture(params=SEALED_ROWS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[RowsRig]:
    async with SEALED_ROWS[request.param]() as rig:
        yield rig


def sealed(by: str, what: str) -> SealedSecret:
    """As random as a real one: no two keys seal to the same bytes."""
    return SealedSecret(by, f"wrapped {by} {what}".encode(), f"sealed {by} {what}".encode())


def a_key(key_id: str, *revisions: tuple[str, str], tenant: str = "acme") -> StoredKey:
    stored = tuple(StoredRevision(name, sealed(by, name), START) for name, by in revisions)
    settings = KeySettings(base_url=URL if key_id == "b" else "")
    return StoredKey(key_id, tenant, "openai", settings, stored, START, START)


async def filled(rig: RowsRig) -> None:
    """Keys a to c of two tenants, and the last good secrets of two system keys."""
    await create(
        rig.keys,
        a_key("b", ("b2", NEW), ("b1", OLD)),
        a_key("a", ("a1", OLD)),
        a_key("C", ("c1", LOST), tenant="bravo"),
    )
    await rig.last_good.put(LastGood("sys/1", "groq", "s1", sealed(OLD, "s1"), START))
    await rig.last_good.put(LastGood("sys/2", "groq", "s2", sealed(LOST, "s2"), START))


async def all_of(
    rows: SealedRows, limit: int, *, not_by: str = "", by: str = ""
) -> list[Sequence[SealedRow]]:
    pages: list[Sequence[SealedRow]] = []
    after: RowName | None = None
    while page := await rows.page(after, limit, not_by=not_by, by=by):
        pages.append(page)
        after = page[-1].name
    return pages


def revisions(pages: list[Sequence[SealedRow]]) -> list[str]:
    return [row.name.revision for page in pages for row in page]


async def row_of(rig: RowsRig, revision: str) -> SealedRow:
    [found] = [row for row in await rig.rows.page(None, 100) if row.name.revision == revision]
    return found


async def test_nothing_is_sealed_at_first(rig: RowsRig) -> None:
    assert dict(await rig.rows.counts()) == {}
    assert await rig.rows.sealed_by() == frozenset()
    assert list(await rig.rows.page(None, 10)) == []
    assert await rig.rows.replace([]) == 0
    assert list(await rig.rows.drop([])) == []


async def test_each_sealing_key_s_rows_are_counted_over_all_tables(rig: RowsRig) -> None:
    await filled(rig)
    assert dict(await rig.rows.counts()) == {OLD: 3, NEW: 1, LOST: 2}
    assert await rig.rows.sealed_by() == {OLD, NEW, LOST}


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_every_row_is_on_one_page_by_name(rig: RowsRig, limit: int) -> None:
    await filled(rig)
    pages = await all_of(rig.rows, limit)
    assert revisions(pages) == ["c1", "a1", "b1", "b2", "s1", "s2"]
    assert all(len(page) == limit for page in pages[:-1])
    names = [row.name for page in pages for row in page]
    assert names == sorted(names)


async def test_rows_of_one_key_or_of_all_others_can_be_asked_for(rig: RowsRig) -> None:
    await filled(rig)
    assert revisions(await all_of(rig.rows, 2, not_by=OLD)) == ["c1", "b2", "s2"]
    assert revisions(await all_of(rig.rows, 1, by=LOST)) == ["c1", "s2"]
    assert revisions(await all_of(rig.rows, 2, by="no such key")) == []


async def test_a_row_tells_what_it_is_bound_to(rig: RowsRig) -> None:
    await filled(rig)
    assert (await row_of(rig, "b1")).binding == Binding("acme", "openai", "b", "b1", URL)
    assert (await row_of(rig, "s1")).binding == Binding("", "groq", "sys/1", "s1")


async def test_what_is_replaced_is_what_was_read_and_nothing_else(rig: RowsRig) -> None:
    await filled(rig)
    rows = [await row_of(rig, name) for name in ("b1", "s1", "a1")]
    await rig.keys.add_revision("a", StoredRevision("a1", sealed(OLD, "given anew"), START + 1))
    again = [Resealed(r.name, r.sealed, sealed(NEW, r.name.revision)) for r in rows]
    assert await rig.rows.replace(again) == 2
    assert dict(await rig.rows.counts()) == {OLD: 1, NEW: 3, LOST: 2}
    assert (await row_of(rig, "a1")).sealed == sealed(OLD, "given anew")
    assert (await row_of(rig, "b1")).sealed == sealed(NEW, "b1")
    assert await rig.rows.replace(again) == 0


async def test_a_replaced_secret_keeps_everything_else_of_its_key(rig: RowsRig) -> None:
    await filled(rig)
    await rig.keys.note_authenticated("b", "b1", START + 5)
    before, row = await kept(rig.keys, "b"), await row_of(rig, "b1")
    await rig.rows.replace([Resealed(row.name, row.sealed, sealed(NEW, "b1"))])
    assert await kept(rig.keys, "b") == before.resealed({"b1": sealed(NEW, "b1")})
    last = await row_of(rig, "s1")
    await rig.rows.replace([Resealed(last.name, last.sealed, sealed(NEW, "s1"))])
    [found] = [each for each in await rig.last_good.all() if each.key_id == "sys/1"]
    assert found == LastGood("sys/1", "groq", "s1", sealed(NEW, "s1"), START)


async def test_a_key_goes_with_the_last_of_its_revisions(rig: RowsRig) -> None:
    await filled(rig)
    rows = [await row_of(rig, name) for name in ("b1", "c1", "s2")]
    dropped = await rig.rows.drop(rows)
    assert {each.row.name.revision: each.was_last for each in dropped} == {
        "b1": False,
        "c1": True,
        "s2": False,
    }
    assert await rig.keys.key("C") is None
    assert [r.revision for r in (await kept(rig.keys, "b")).revisions] == ["b2"]
    assert [last.key_id for last in await rig.last_good.all()] == ["sys/1"]
    policies = (await rig.keys.tenant("bravo")).policies
    assert policies["openai"] == replace(POLICY, tenant="bravo")
    assert list(await rig.rows.drop(rows)) == []


async def test_a_row_that_was_written_anew_is_not_dropped(rig: RowsRig) -> None:
    await filled(rig)
    row = await row_of(rig, "c1")
    await rig.keys.add_revision("C", StoredRevision("c1", sealed(NEW, "c1"), START + 1))
    assert list(await rig.rows.drop([row])) == []
    assert (await row_of(rig, "c1")).sealed == sealed(NEW, "c1")


async def test_two_that_replace_the_same_rows_at_once_lose_nothing(rig: RowsRig) -> None:
    await create(rig.keys, *(a_key(f"k{n}", (f"r{n}", OLD)) for n in range(50)))
    rows = await rig.rows.page(None, 100)

    async def replaced(what: str, order: Sequence[SealedRow]) -> int:
        again = [Resealed(r.name, r.sealed, sealed(NEW, what)) for r in order]
        return await rig.rows.replace(again)

    done = await asyncio.gather(replaced("one", rows), replaced("two", list(reversed(rows))))
    assert sum(done) == 50
    assert dict(await rig.rows.counts()) == {NEW: 50}
