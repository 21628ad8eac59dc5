"""Tenants' keys from another system's table beside the broker's own."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from broker.adapters.mapped.row_faults import RowFaults
from broker.adapters.mapped.theirs import TheirKeys
from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.errors import DuplicateSecretError, KeyTakenError, ReadOnlyError
from broker.ports.key_store import (
    NOTHING_RESEALED,
    FirstPolicies,
    KeyNames,
    KeyStore,
    StoredKey,
    StoredRevision,
    TenantRecord,
)


class MappedKeyStore:
    """Another key store, and a table that is read with it and never written.

    Pages show the table's keys where the tenant is named: else all of the table would be read.
    """

    def __init__(self, own: KeyStore, theirs: TheirKeys) -> None:
        self._own = own
        self._theirs = theirs
        self._faults = RowFaults(theirs.source)

    @property
    def source(self) -> str:
        """The table's name in status, events and errors."""
        return self._theirs.source

    @property
    def read_at(self) -> float | None:
        """When the table was last read well, in epoch seconds."""
        return self._theirs.read_at

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the table's database and with its rows, one sentence each."""
        fault = self._theirs.table.fault
        return (*([f"{self.source}: {fault}"] if fault else []), *self._faults.shown())

    async def tenant(self, tenant: str) -> TenantRecord:
        """One tenant; TENANT_ONLY where the table has a row, unless a policy was set."""
        own, found = await asyncio.gather(self._own.tenant(tenant), self._theirs.of(tenant))
        theirs = [await self._theirs.stored(tenant, key) for key in found.keys]
        unique, doubles = _without_doubles(own.keys, theirs)
        self._faults.note(tenant, (*found.faults, *doubles))
        implied = {
            provider: TenantPolicy(tenant, provider, PolicyMode.TENANT_ONLY, set_by=self.source)
            for provider in found.providers
        }
        keys = sorted((*own.keys, *unique), key=_place)
        return TenantRecord(tenant, {**implied, **own.policies}, tuple(keys))

    async def key(self, key_id: str) -> StoredKey | None:
        """One key by id."""
        own = await self._own.key(key_id)
        return own if own is not None else await self._their_key(key_id)

    async def page(
        self,
        *,
        after: tuple[str, str],
        limit: int,
        provider: str = "",
        tenant: str = "",
        expires_by: float | None = None,
    ) -> list[StoredKey]:
        """Up to `limit` keys that come after `after`."""
        own = await self._own.page(
            after=after, limit=limit, provider=provider, tenant=tenant, expires_by=expires_by
        )
        if not tenant:
            return own
        theirs = [
            key
            for key in (await self.tenant(tenant)).keys
            if key.source and _place(key) > after and provider in {"", key.provider}
            if expires_by is None or _does_expire(key.settings, expires_by)
        ]
        return sorted((*own, *theirs), key=_place)[:limit]

    async def create(self, key: StoredKey, first_policy: TenantPolicy) -> None:
        """Keep a new key among the broker's own, unless it is theirs."""
        await self._check_is_new(key)
        await self._own.create(key, first_policy)

    async def create_all(self, keys: Sequence[StoredKey], first_policies: FirstPolicies) -> None:
        """Keep new keys among the broker's own, unless one is theirs."""
        for key in keys:
            await self._check_is_new(key)
        await self._own.create_all(keys, first_policies)

    async def clashes(self, wanted: Collection[KeyNames]) -> Mapping[str, str]:
        """The keys that are in the way of new ones."""
        found = dict(await self._own.clashes(wanted))
        for names in wanted:
            if names.key_id not in found and (other := await self._theirs.in_the_way(names)):
                found[names.key_id] = other
        return found

    async def update(
        self,
        key_id: str,
        settings: KeySettings,
        at: float,
        resealed: Mapping[str, SealedSecret] = NOTHING_RESEALED,
    ) -> bool:
        """Replace the settings of a key of the broker's own. Raises ReadOnlyError for theirs."""
        is_done = await self._own.update(key_id, settings, at, resealed)
        return is_done or await self._refused(key_id)

    async def add_revision(self, key_id: str, revision: StoredRevision) -> bool:
        """Add to a key of the broker's own. Raises ReadOnlyError for theirs."""
        return await self._own.add_revision(key_id, revision) or await self._refused(key_id)

    async def drop_revision(self, key_id: str, revision: str) -> None:
        """Forget a revision of the broker's own; the table has no older ones."""
        await self._own.drop_revision(key_id, revision)

    async def note_authenticated(self, key_id: str, revision: str, at: float) -> None:
        """Remember that the provider accepted a revision, of theirs for as long as this runs."""
        if self._theirs.is_known(key_id):
            self._theirs.note_authenticated(key_id, revision, at)
        else:
            await self._own.note_authenticated(key_id, revision, at)

    async def delete(self, key_id: str) -> bool:
        """Forget a key of the broker's own. Raises ReadOnlyError for theirs."""
        return await self._own.delete(key_id) or await self._refused(key_id)

    async def put_policy(self, policy: TenantPolicy) -> None:
        """Set a policy: policies are always the broker's own."""
        await self._own.put_policy(policy)

    async def close(self) -> None:
        """Read the table no more."""
        await self._theirs.table.close()

    async def _their_key(self, key_id: str) -> StoredKey | None:
        async for tenant in self._theirs.tenants_with(key_id):
            for key in (await self._theirs.of(tenant)).keys:
                if key.key_id == key_id:
                    return await self._theirs.stored(tenant, key)
        return None

    async def _check_is_new(self, key: StoredKey) -> None:
        """Raise KeyTaken- or DuplicateSecretError for a key that they have."""
        revisions = tuple(revision.revision for revision in key.revisions)
        names = KeyNames(key.key_id, key.tenant, key.provider, revisions)
        other = await self._theirs.in_the_way(names)
        if other == key.key_id:
            raise KeyTakenError(f"{key.key_id} is a key of {self.source}", key.key_id)
        if other:
            raise DuplicateSecretError(other, key.key_id)

    async def _refused(self, key_id: str) -> bool:
        """False for a key that nobody has. Raises ReadOnlyError for one of theirs."""
        if await self._their_key(key_id) is None:
            return False
        raise ReadOnlyError(f"{key_id} is kept in {self.source}, and changed there")


def _without_doubles(
    own: Sequence[StoredKey], theirs: Sequence[StoredKey]
) -> tuple[list[StoredKey], list[tuple[str, str]]]:
    """Of their keys those that the broker has not already, and what is wrong with the others."""
    taken = {key.key_id for key in own}
    holders = {
        (key.provider, revision.revision): key.key_id for key in own for revision in key.revisions
    }
    unique: list[StoredKey] = []
    faults: list[tuple[str, str]] = []
    for key in theirs:
        holder = holders.get((key.provider, key.revisions[0].revision))
        if key.key_id in taken:
            faults.append((key.key_id, "is the id of a key that the broker keeps, which stays"))
        elif holder is not None:
            faults.append((key.key_id, f"has the same secret as {holder}, which stays"))
        else:
            unique.append(key)
    return unique, faults


def _does_expire(settings: KeySettings, by: float) -> bool:
    return settings.expires_at is not None and settings.expires_at.timestamp() <= by


def _place(key: StoredKey) -> tuple[str, str]:
    return key.provider, key.key_id
