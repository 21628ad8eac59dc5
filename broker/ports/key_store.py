"""Where tenants' keys and policies are kept."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol, Self

from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import TenantPolicy

NOTHING_RESEALED: Mapping[str, SealedSecret] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """One sealed secret of a key; times are epoch seconds.

    `authenticated_at` is when the provider last accepted it, None if it never did.
    """

    revision: str
    sealed: SealedSecret
    created_at: float
    authenticated_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A tenant's key; `revisions` are the newest first, and never empty.

    `source` names the other system that it comes from and that alone changes it, "" where that is
    the broker.
    """

    key_id: str
    tenant: str
    provider: str
    settings: KeySettings
    revisions: tuple[StoredRevision, ...]
    created_at: float
    updated_at: float
    source: str = ""

    def resealed(self, resealed: Mapping[str, SealedSecret]) -> Self:
        """The same with some revisions' secrets, by name, sealed anew."""
        revisions = (
            replace(revision, sealed=resealed.get(revision.revision, revision.sealed))
            for revision in self.revisions
        )
        return replace(self, revisions=tuple(revisions))


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """All that is kept of one tenant: policies by provider, and keys by id."""

    tenant: str
    policies: Mapping[str, TenantPolicy]
    keys: tuple[StoredKey, ...]


@dataclass(frozen=True, slots=True)
class KeyNames:
    """What must be new about a key: its id, and its revisions among its tenant and provider's."""

    key_id: str
    tenant: str
    provider: str
    revisions: tuple[str, ...]


FirstPolicies = Callable[[StoredKey], TenantPolicy]
"""The policy to set for a key's tenant and provider, if they have none."""


class KeyStore(Protocol):
    """Tenants' keys and policies; every change is whole and durable on return, or not made.

    All methods raise StoreUnavailableError.
    """

    async def tenant(self, tenant: str) -> TenantRecord:
        """One tenant; one that nothing is kept of has no policies and no keys."""
        ...

    async def key(self, key_id: str) -> StoredKey | None:
        """One key by id."""
        ...

    async def page(
        self,
        *,
        after: tuple[str, str],
        limit: int,
        provider: str = "",
        tenant: str = "",
        expires_by: float | None = None,
    ) -> list[StoredKey]:
        """Up to `limit` keys by (provider, key id), those that come after `after`.

        With `expires_by` only those that expire until that epoch second.
        """
        ...

    async def create(self, key: StoredKey, first_policy: TenantPolicy) -> None:
        """Keep a new key, and `first_policy` if its tenant and provider have none, at once.

        Raises KeyTakenError for a taken id, DuplicateSecretError where another key of the tenant
        and provider has a revision of this name.
        """
        ...

    async def create_all(self, keys: Sequence[StoredKey], first_policies: FirstPolicies) -> None:
        """Keep new keys, all or none; each as `create` does. Takes as long as it needs.

        Raises KeyTakenError and DuplicateSecretError for one that cannot be kept, also because of
        another of `keys`; both tell in `wanted` which.
        """
        ...

    async def clashes(self, wanted: Collection[KeyNames]) -> Mapping[str, str]:
        """The keys that are in the way of new ones, by the id of the new one.

        Its own id means that this is taken, another id that this key has the same secret.
        """
        ...

    async def update(
        self,
        key_id: str,
        settings: KeySettings,
        at: float,
        resealed: Mapping[str, SealedSecret] = NOTHING_RESEALED,
    ) -> bool:
        """Replace a key's settings; say whether there is such a key.

        At once the secrets of revisions are replaced by `resealed`; unknown ones are ignored.
        """
        ...

    async def add_revision(self, key_id: str, revision: StoredRevision) -> bool:
        """Keep a new revision as the newest; say whether there is such a key.

        A revision that is kept already becomes the newest again. Raises DuplicateSecretError.
        """
        ...

    async def drop_revision(self, key_id: str, revision: str) -> None:
        """Forget a revision and its secret; the newest one of a key stays.

        Who drops an older one may not know yet that another broker made it the newest again.
        """
        ...

    async def note_authenticated(self, key_id: str, revision: str, at: float) -> None:
        """Remember that the provider accepted a revision; unknown ones are ignored."""
        ...

    async def delete(self, key_id: str) -> bool:
        """Forget a key and all its secrets; its policy stays. Say whether it was there."""
        ...

    async def put_policy(self, policy: TenantPolicy) -> None:
        """Set a policy, replacing the one of its tenant and provider."""
        ...
