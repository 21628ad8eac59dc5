"""Keeping tenants' keys: create, update, rotate and delete, durable before the answer."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from broker.core.key import KeySettings
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.clock import Clock
from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import KeyStore, StoredKey
from broker.services.committing import Committing
from broker.services.errors import (
    KeyDuplicateError,
    KeyExistsError,
    KeySourceOwnedError,
    KeyUnknownError,
)
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.opening import Opening
from broker.services.probing import Probing
from broker.services.retiring import Retiring
from broker.services.rotating import Rotating
from broker.services.sealing import Sealing
from broker.services.tenants import Tenants
from broker.services.turns import Turns

T = TypeVar("T")

Change = Callable[[KeySettings], KeySettings]
"""What an update makes of a key's settings."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to create, checked for form; an empty `key_id` has one made."""

    tenant: str
    provider: str
    secret: Secret
    key_id: str = ""
    settings: KeySettings = field(default_factory=KeySettings)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Changes tenants' keys, one change of a key at a time.

    A change that has begun is finished, also when the operator who asked for it goes away. Every
    method raises StoreUnavailable- and ChangeUncertainError, and KeySourceOwnedError for a system
    key and for one of another system's table; those that take a secret, or move one to another
    base_url, also SealClosedError.
    """

    keyring: Keyring
    store: KeyStore
    sealing: Sealing
    opening: Opening
    tenants: Tenants
    committing: Committing
    retiring: Retiring
    rotating: Rotating
    probing: Probing
    journal: Journal
    clock: Clock
    _turns: Turns = field(default_factory=Turns)

    async def create(self, principal: str, new: NewKey) -> StoredKey:
        """Keep a new key and lease it from now on.

        The first of its tenant and provider sets the policy TENANT_ONLY. Raises
        ProviderUnknown-, InvalidField-, KeyExists- and KeyDuplicateError.
        """
        self.keyring.provider(new.provider)
        key_id = new.key_id or f"key-{secrets.token_hex(8)}"
        self.sealing.check_is_no_name(new.secret, key_id, new.tenant, new.settings.account)
        return await self._alone(key_id, self._create(principal, key_id, new))

    async def update(self, principal: str, key_id: str, change: Change, fields: str) -> StoredKey:
        """Change those settings that `fields` names. Raises KeyUnknown- and InvalidFieldError."""
        return await self._alone(key_id, self._update(principal, key_id, change, fields))

    async def rotate(self, principal: str, key_id: str, secret: Secret) -> StoredKey:
        """Keep a new secret of a key, which is proved before it is leased.

        Raises KeyUnknown-, InvalidField- and KeyDuplicateError.
        """
        return await self._alone(key_id, self._rotate(principal, key_id, secret))

    async def delete(self, principal: str, key_id: str) -> None:
        """Forget a key and all of its secrets, not its tenant's policy. Raises KeyUnknownError."""
        await self._alone(key_id, self._delete(principal, key_id))

    async def _alone(self, key_id: str, change: Awaitable[T]) -> T:
        async def take_turn() -> T:
            async with self._turns.of(key_id):
                return await change

        return await asyncio.shield(take_turn())

    async def _create(self, principal: str, key_id: str, new: NewKey) -> StoredKey:
        if self.keyring.source_of(key_id):
            raise KeyExistsError(key_id)
        tenant, provider, now = new.tenant, new.provider, self.clock.now()
        base_url = new.settings.base_url
        revision = await self.sealing.revision(new.secret, tenant, provider, key_id, base_url)
        key = StoredKey(key_id, tenant, provider, new.settings, (revision,), now, now)
        mode = PolicyMode.TENANT_ONLY
        first = TenantPolicy(tenant, provider, mode, set_by=principal, set_at=now)

        async def is_made() -> bool:
            found = await self.store.key(key_id)
            return found is not None and found.revisions[0].sealed == revision.sealed

        try:
            create = self.store.create(key, first)
            await self.committing.commit(tenant, create, is_made, "the key was created")
        except KeyTakenError:
            raise KeyExistsError(key_id) from None
        except DuplicateSecretError as error:
            raise KeyDuplicateError(key_id, error.key_id) from None
        await self.retiring.forget_health(key)
        await self.tenants.reload(tenant)
        self._tell("key_created", key, principal, revision=revision.revision)
        self.rotating.noticed(key_id)
        return key

    async def _update(self, principal: str, key_id: str, change: Change, fields: str) -> StoredKey:
        key, now = await self._owned(key_id), self.clock.now()
        settings = change(key.settings)
        self.sealing.check_is_no_secret("settings.account", settings.account, key)

        is_moved = settings.base_url != key.settings.base_url
        resealed = await self.sealing.elsewhere(key, settings.base_url) if is_moved else {}

        async def update() -> None:
            if not await self.store.update(key_id, settings, now, resealed):
                raise KeyUnknownError(key_id)

        async def is_made() -> bool:
            found = await self.store.key(key_id)
            return found is not None and found.settings == settings

        await self.committing.commit(key.tenant, update(), is_made, "the key was updated")
        await self.tenants.reload(key.tenant)
        self._tell("key_updated", key, principal, fields=fields)
        if is_moved:
            self.probing.ask(key_id)
        return replace(key, settings=settings, updated_at=now).resealed(resealed)

    async def _rotate(self, principal: str, key_id: str, secret: Secret) -> StoredKey:
        key = await self._owned(key_id)
        self.sealing.check_is_no_name(secret, key_id, key.tenant, key.settings.account)
        base_url = key.settings.base_url
        revision = await self.sealing.revision(secret, key.tenant, key.provider, key_id, base_url)
        newest = key.revisions[0]
        if newest.revision == revision.revision and await self.opening.open(key, newest):
            return key

        async def add() -> None:
            if not await self.store.add_revision(key_id, revision):
                raise KeyUnknownError(key_id)

        async def is_made() -> bool:
            found = await self.store.key(key_id)
            return found is not None and found.revisions[0].sealed == revision.sealed

        async with self.tenants.using_if_possible(key.tenant):  # what is in use stays in use
            self.rotating.stored.keep(key_id, revision.revision)
            try:
                await self.committing.commit(key.tenant, add(), is_made, "the key was rotated")
            except DuplicateSecretError as error:
                raise KeyDuplicateError(key_id, error.key_id) from None
            self._tell("key_rotated", key, principal, revision=revision.revision)
            await self.tenants.reload(key.tenant)  # has the new secret proved
        others = (known for known in key.revisions if known.revision != revision.revision)
        return replace(key, revisions=(revision, *others), updated_at=revision.created_at)

    async def _delete(self, principal: str, key_id: str) -> None:
        key = await self._owned(key_id)

        async def delete() -> None:
            if not await self.store.delete(key_id):
                raise KeyUnknownError(key_id)

        async def is_made() -> bool:
            return await self.store.key(key_id) is None

        await self.committing.commit(key.tenant, delete(), is_made, "the key was deleted")
        self.tenants.note_deleted(key_id)
        await self.tenants.reload(key.tenant)
        await self.retiring.bury(key)
        self._tell("key_deleted", key, principal)

    async def _owned(self, key_id: str) -> StoredKey:
        """A key of a tenant. Raises KeyUnknown-, KeySourceOwned- and StoreUnavailableError."""
        source = self.keyring.source_of(key_id)
        if source:
            raise KeySourceOwnedError(key_id, source)
        key = await self.store.key(key_id)
        if key is None:
            raise KeyUnknownError(key_id)
        if key.source:
            raise KeySourceOwnedError(key_id, key.source)
        return key

    def _tell(self, kind: str, key: StoredKey, principal: str, **attributes: str) -> None:
        what = kind.removeprefix("key_")
        self.journal.record(
            kind,
            key.provider,
            self.clock.now(),
            f"{key.key_id} of tenant {key.tenant}: {what} by {principal}",
            key_id=key.key_id,
            principal=principal,
            attributes={"tenant": key.tenant, **attributes},
        )
