"""A broker's sealing, on a store in memory that can be switched off."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from broker.adapters.memory import (
    MemoryAgreements,
    MemoryKeyStore,
    MemoryLastGoodStore,
    MemorySealedRows,
)
from broker.adapters.seal import AesSealer
from broker.core.sealed import SealedSecret
from broker.core.secret import Secret
from broker.ports.agreements import Attendance
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.last_good import LastGood
from broker.ports.sealed_rows import Dropped, Resealed, RowName, SealedRow
from broker.services.opening import binding_of
from broker.services.seal_walk import SealProgress
from tests.contract.stored_keys import create
from tests.contract.stored_keys import key as a_key
from tests.fakes import START, FakeClock

OLD, NEW = b"\1" * 32, b"\2" * 32
OLD_ID, NEW_ID = AesSealer.of_keys(OLD).current, AesSealer.of_keys(NEW).current


class FakeRows:
    """Other rows with a switch: while `is_down` everything fails, `fails` times without it.

    `before_replace` runs between what was read and what is written.
    """

    def __init__(self, inner: MemorySealedRows) -> None:
        self.inner = inner
        self.is_down = False
        self.fails = 0
        self.pages = 0
        self.before_replace: list[AsyncGenerator[None, None]] = []

    async def counts(self) -> Mapping[str, int]:
        self._check()
        return await self.inner.counts()

    async def sealed_by(self) -> frozenset[str]:
        self._check()
        return await self.inner.sealed_by()

    async def page(
        self, after: RowName | None, limit: int, *, not_by: str = "", by: str = ""
    ) -> Sequence[SealedRow]:
        self._check()
        self.pages += 1
        return await self.inner.page(after, limit, not_by=not_by, by=by)

    async def replace(self, resealed: Sequence[Resealed]) -> int:
        self._check()
        if self.before_replace:
            await anext(self.before_replace.pop(0), None)
        return await self.inner.replace(resealed)

    async def drop(self, rows: Sequence[SealedRow]) -> Sequence[Dropped]:
        self._check()
        return await self.inner.drop(rows)

    def _check(self) -> None:
        self.fails -= bool(self.fails)
        if self.is_down or self.fails:
            raise StoreUnavailableError("the rows are switched off")


@dataclass
class Kept:
    """What is kept, and who sees to it."""

    clock: FakeClock = field(default_factory=FakeClock)
    keys: MemoryKeyStore = field(default_factory=MemoryKeyStore)
    last_good: MemoryLastGoodStore = field(default_factory=MemoryLastGoodStore)
    agreements: MemoryAgreements = field(default_factory=MemoryAgreements)

    def __post_init__(self) -> None:
        self.rows = FakeRows(MemorySealedRows(self.keys, self.last_good))

    async def add(self, sealer: AesSealer, *key_ids: str) -> None:
        """Keep a key each, sealed as it should be."""
        for key_id in key_ids:
            key = a_key(key_id)
            [revision] = key.revisions
            sealed = await sealer.seal(Secret(f"sk-{key_id}"), binding_of(key, revision))
            await create(self.keys, key.resealed({revision.revision: sealed}))

    async def add_last_good(self, sealer: AesSealer, key_id: str) -> None:
        revision = StoredRevision("good", SealedSecret("", b"", b""), START)
        key = StoredKey(key_id, "", "openai", a_key("x").settings, (revision,), START, START)
        sealed = await sealer.seal(Secret(f"sk-{key_id}"), binding_of(key, revision))
        await self.last_good.put(LastGood(key_id, "openai", "good", sealed, START))

    async def spoil(self, key_id: str) -> None:
        """Flip a bit of a key's ciphertext."""
        key = await self.keys.key(key_id)
        assert key is not None
        sealed = key.revisions[0].sealed
        flipped = bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]
        spoilt = SealedSecret(sealed.sealed_by, sealed.wrapped_key, flipped)
        await self.keys.update(key_id, key.settings, START, {key.revisions[0].revision: spoilt})

    async def attend(self, replica: str, *sealing_keys: str) -> None:
        seen_at = self.clock.now()
        await self.agreements.attend(Attendance(replica, seen_at, frozenset(sealing_keys)))


async def walked(news: AsyncGenerator[SealProgress, None], clock: FakeClock) -> list[SealProgress]:
    """All that is told, while time passes."""

    async def collect() -> list[SealProgress]:
        return [progress async for progress in news]

    task = asyncio.create_task(collect())
    async with asyncio.timeout(30.0):
        while not task.done():
            await clock.elapse(0.5)
            await asyncio.sleep(0.001)
    return task.result()
