"""Tenants' keys and policies for as long as the process lives."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from math import inf
from typing import TypeAlias

from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import TenantPolicy
from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import (
    NOTHING_RESEALED,
    FirstPolicies,
    KeyNames,
    StoredKey,
    StoredRevision,
    TenantRecord,
)

RevisionName: TypeAlias = tuple[str, str, str]
"""Whose, which provider's, and its fingerprint."""


class MemoryKeyStore:
    """Keys by id and by tenant; nothing is awaited within a change, so each is whole."""

    def __init__(self) -> None:
        self._keys: dict[str, StoredKey] = {}
        self._ids_of: dict[str, set[str]] = {}
        self._policies: dict[str, dict[str, TenantPolicy]] = {}

    async def tenant(self, tenant: str) -> TenantRecord:
        """One tenant; its keys by (provider, key id)."""
        keys = sorted(self._keys_of(tenant), key=_place)
        return TenantRecord(tenant, dict(self._policies.get(tenant, {})), tuple(keys))

    async def key(self, key_id: str) -> StoredKey | None:
        """One key by id."""
        return self._keys.get(key_id)

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
        keys = self._keys_of(tenant) if tenant else iter(self._keys.values())
        due = (key for key in keys if _place(key) > after and provider in {"", key.provider})
        if expires_by is not None:
            due = (key for key in due if _expires(key) <= expires_by)
        return nsmallest(limit, due, key=_place)

    async def create(self, key: StoredKey, first_policy: TenantPolicy) -> None:
        """Keep a new key, and its tenant's first policy."""
        if key.key_id in self._keys:
            raise KeyTakenError(f"there is a key {key.key_id} already")
        for revision in key.revisions:
            self._check_is_new(key, revision.revision)
        self._put(key, first_policy)

    async def create_all(self, keys: Sequence[StoredKey], first_policies: FirstPolicies) -> None:
        """Keep new keys, and their tenants' first policies."""
        holders = self._holders({key.tenant for key in keys})
        ids = set[str]()
        for key in keys:
            if key.key_id in self._keys or key.key_id in ids:
                raise KeyTakenError(f"there is a key {key.key_id} already", key.key_id)
            ids.add(key.key_id)
            for name in _names(key):
                if holders.setdefault(name, key.key_id) != key.key_id:
                    raise DuplicateSecretError(holders[name], key.key_id)
        for key in keys:
            self._put(key, first_policies(key))

    async def clashes(self, wanted: Collection[KeyNames]) -> Mapping[str, str]:
        """The keys that are in the way of new ones."""
        holders = self._holders({names.tenant for names in wanted})
        found = dict[str, str]()
        for names in wanted:
            for revision in names.revisions:
                holder = holders.get((names.tenant, names.provider, revision))
                if holder is not None:
                    found[names.key_id] = holder
            if names.key_id in self._keys:
                found[names.key_id] = names.key_id
        return found

    async def update(
        self,
        key_id: str,
        settings: KeySettings,
        at: float,
        resealed: Mapping[str, SealedSecret] = NOTHING_RESEALED,
    ) -> bool:
        """Replace a key's settings."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        self._keys[key_id] = replace(key, settings=settings, updated_at=at).resealed(resealed)
        return True

    async def add_revision(self, key_id: str, revision: StoredRevision) -> bool:
        """Keep a revision as the newest; that it authenticated before is not forgotten."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        self._check_is_new(key, revision.revision)
        others = []
        for kept in key.revisions:
            if kept.revision != revision.revision:
                others.append(kept)
            elif revision.authenticated_at is None:
                revision = replace(revision, authenticated_at=kept.authenticated_at)
        self._keys[key_id] = replace(
            key, revisions=(revision, *others), updated_at=revision.created_at
        )
        return True

    async def drop_revision(self, key_id: str, revision: str) -> None:
        """Forget a revision, unless it is the newest."""
        key = self._keys.get(key_id)
        if key is not None:
            newest, *older = key.revisions
            rest = (kept for kept in older if kept.revision != revision)
            self._keys[key_id] = replace(key, revisions=(newest, *rest))

    async def note_authenticated(self, key_id: str, revision: str, at: float) -> None:
        """Remember that the provider accepted a revision."""
        key = self._keys.get(key_id)
        if key is None:
            return
        revisions = (
            replace(kept, authenticated_at=at) if kept.revision == revision else kept
            for kept in key.revisions
        )
        self._keys[key_id] = replace(key, revisions=tuple(revisions))

    async def delete(self, key_id: str) -> bool:
        """Forget a key; its policy stays."""
        key = self._keys.pop(key_id, None)
        if key is None:
            return False
        ids = self._ids_of[key.tenant]
        ids.discard(key_id)
        if not ids:
            del self._ids_of[key.tenant]
        return True

    async def put_policy(self, policy: TenantPolicy) -> None:
        """Set a policy."""
        self._policies.setdefault(policy.tenant, {})[policy.provider] = policy

    def _put(self, key: StoredKey, first_policy: TenantPolicy) -> None:
        self._keys[key.key_id] = key
        self._ids_of.setdefault(key.tenant, set()).add(key.key_id)
        policies = self._policies.setdefault(first_policy.tenant, {})
        policies.setdefault(first_policy.provider, first_policy)

    def _holders(self, tenants: Iterable[str]) -> dict[RevisionName, str]:
        """Which key has which revision, of all keys of some tenants."""
        kept = (key for tenant in tenants for key in self._keys_of(tenant))
        return {name: key.key_id for key in kept for name in _names(key)}

    def _keys_of(self, tenant: str) -> Iterator[StoredKey]:
        return (self._keys[key_id] for key_id in self._ids_of.get(tenant, ()))

    def _check_is_new(self, key: StoredKey, revision: str) -> None:
        """Raise DuplicateSecretError where another key of the pool has this revision."""
        for other in self._keys_of(key.tenant):
            if other.key_id == key.key_id or other.provider != key.provider:
                continue
            if any(kept.revision == revision for kept in other.revisions):
                raise DuplicateSecretError(other.key_id)


def _names(key: StoredKey) -> Iterator[RevisionName]:
    return ((key.tenant, key.provider, kept.revision) for kept in key.revisions)


def _place(key: StoredKey) -> tuple[str, str]:
    return key.provider, key.key_id


def _expires(key: StoredKey) -> float:
    """When a key expires; never, as far as is known, is later than any time."""
    at = key.settings.expires_at
    return inf if at is None else at.timestamp()
