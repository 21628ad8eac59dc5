"""A key store that fails as a test tells it to, and keys as operators give them."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import TypeVar

from broker.adapters.memory import MemoryKeyStore
from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import TenantPolicy
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import (
    NOTHING_RESEALED,
    FirstPolicies,
    KeyNames,
    KeyStore,
    StoredKey,
    StoredRevision,
    TenantRecord,
)

T = TypeVar("T")


class FakeKeyStore:
    """Another store with switches.

    While `is_down` everything fails, while `takes_nothing` every change does. With `loses_answers`
    a change is made and fails all the same; with `dies_of_changes` the store is down after the next
    one. Reads of a tenant wait at `gate`, after they were made.
    """

    def __init__(self, inner: KeyStore | None = None) -> None:
        self.inner = inner or MemoryKeyStore()
        self.is_down = False
        self.takes_nothing = False
        self.loses_answers = False
        self.dies_of_changes = False
        self.gate: asyncio.Event | None = None
        self.read_tenants: list[str] = []
        self.pages = 0

    async def tenant(self, tenant: str) -> TenantRecord:
        self.read_tenants.append(tenant)
        record = await self._read(self.inner.tenant(tenant))
        if self.gate is not None:
            await self.gate.wait()
        return record

    async def key(self, key_id: str) -> StoredKey | None:
        return await self._read(self.inner.key(key_id))

    async def page(
        self,
        *,
        after: tuple[str, str],
        limit: int,
        provider: str = "",
        tenant: str = "",
        expires_by: float | None = None,
    ) -> list[StoredKey]:
        self.pages += 1
        page = self.inner.page(
            after=after, limit=limit, provider=provider, tenant=tenant, expires_by=expires_by
        )
        return await self._read(page)

    async def create(self, key: StoredKey, first_policy: TenantPolicy) -> None:
        await self._write(self.inner.create(key, first_policy))

    async def create_all(self, keys: Sequence[StoredKey], first_policies: FirstPolicies) -> None:
        await self._write(self.inner.create_all(keys, first_policies))

    async def clashes(self, wanted: Collection[KeyNames]) -> Mapping[str, str]:
        return await self._read(self.inner.clashes(wanted))

    async def update(
        self,
        key_id: str,
        settings: KeySettings,
        at: float,
        resealed: Mapping[str, SealedSecret] = NOTHING_RESEALED,
    ) -> bool:
        return await self._write(self.inner.update(key_id, settings, at, resealed))

    async def add_revision(self, key_id: str, revision: StoredRevision) -> bool:
        return await self._write(self.inner.add_revision(key_id, revision))

    async def drop_revision(self, key_id: str, revision: str) -> None:
        await self._write(self.inner.drop_revision(key_id, revision))

    async def note_authenticated(self, key_id: str, revision: str, at: float) -> None:
        await self._write(self.inner.note_authenticated(key_id, revision, at))

    async def delete(self, key_id: str) -> bool:
        return await self._write(self.inner.delete(key_id))

    async def put_policy(self, policy: TenantPolicy) -> None:
        await self._write(self.inner.put_policy(policy))

    async def _read(self, read: Awaitable[T]) -> T:
        result = await read
        if self.is_down:
            raise StoreUnavailableError("the store is switched off")
        return result

    async def _write(self, write: Awaitable[T]) -> T:
        if self.is_down or self.takes_nothing:
            asyncio.ensure_future(write).cancel()
            raise StoreUnavailableError("the store is switched off")
        result = await write
        if self.dies_of_changes:
            self.is_down, self.dies_of_changes = True, False
        if self.loses_answers:
            raise StoreUnavailableError("the answer came too late")
        return result
