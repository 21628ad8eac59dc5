"""The keys of another system's table, by tenant and by id."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from broker.adapters.mapped.cells import text_of
from broker.adapters.mapped.remembered import Remembered
from broker.adapters.mapped.rows import PREFIX, Found, RowReader, TheirKey, tenant_in
from broker.adapters.mapped.table import TheirTable
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.ports.clock import Clock
from broker.ports.key_store import KeyNames, StoredKey, StoredRevision
from broker.ports.sealer import Sealer

MAX_REMEMBERED: Final = 100_000
"""Keys of the table of which it is remembered whose they are and when they were accepted."""

_UNUSABLE: Final = "unusable"


class TheirKeys:
    """Reads keys, and seals their secrets in memory with `vault`, whose key dies with the process.

    A key is found by id where the table can be asked for it, where the id names the tenant, or
    since the tenant was in use here. All methods raise StoreUnavailableError.
    """

    def __init__(
        self,
        table: TheirTable,
        rows: RowReader,
        vault: Sealer,
        fingerprint_secret: bytes,
        clock: Clock,
    ) -> None:
        self.table = table
        self.read_at: float | None = None
        self._rows = rows
        self._vault = vault
        self._fingerprint_secret = fingerprint_secret
        self._clock = clock
        self._tenant_of = Remembered[str, str](MAX_REMEMBERED)
        self._accepted_at = Remembered[tuple[str, str], float](MAX_REMEMBERED)

    @property
    def source(self) -> str:
        """The table's name in status, events and errors."""
        return self.table.shape.name

    async def of(self, tenant: str) -> Found:
        """What the table has of a tenant."""
        found = await self._read(tenant)
        keys, faults = [], list(found.faults)
        for key in found.keys:
            if await self._is_anothers(key.key_id, tenant):
                faults.append((key.key_id, "is a key of two tenants: map a column that differs"))
                keys.append(TheirKey(key.key_id, key.provider))
            else:
                self._tenant_of.put(key.key_id, tenant)
                keys.append(key)
        return replace(found, keys=tuple(keys), faults=tuple(faults))

    async def tenants_with(self, key_id: str) -> AsyncIterator[str]:
        """The tenants that a key may be of, the likeliest first."""
        known = self._tenant_of.get(key_id) or tenant_in(key_id, self.table.shape.known)
        if known is not None:
            yield known
        for row in await self.table.of_key(key_id):
            try:
                yield text_of(row["tenant"])
            except ValueError:
                continue

    def is_known(self, key_id: str) -> bool:
        """Is it the id of a key that was read here?"""
        return self._tenant_of.get(key_id) is not None

    def note_authenticated(self, key_id: str, revision: str, at: float) -> None:
        """Remember that the provider accepted a revision."""
        self._accepted_at.put((key_id, revision), at)

    async def stored(self, tenant: str, key: TheirKey) -> StoredKey:
        """A key as the broker would keep it; one that cannot be used does not open."""
        secret = key.secret or Secret("")
        name = self._fingerprint(secret) if secret else _UNUSABLE
        binding = Binding(tenant, key.provider, key.key_id, name, key.settings.base_url)
        sealed = await self._vault.seal(secret, binding)
        if not secret:
            sealed = replace(sealed, ciphertext=b"")
        accepted_at = self._accepted_at.get((key.key_id, name))
        return StoredKey(
            key_id=key.key_id,
            tenant=tenant,
            provider=key.provider,
            settings=key.settings,
            revisions=(StoredRevision(name, sealed, key.updated_at, accepted_at),),
            created_at=0.0,
            updated_at=key.updated_at,
            source=self.source,
        )

    async def in_the_way(self, wanted: KeyNames) -> str:
        """The key that has the id or the secret of a new one of the broker's; "" for none."""
        keys = (await self.of(wanted.tenant)).keys
        is_made = wanted.key_id.startswith(PREFIX)  # it may be another tenant's, not met yet
        if is_made or any(key.key_id == wanted.key_id for key in keys):
            return wanted.key_id
        for key in keys:
            is_same_pool = key.provider == wanted.provider and key.secret is not None
            if is_same_pool and self._fingerprint(key.secret) in wanted.revisions:
                return key.key_id
        return wanted.key_id if await self.table.of_key(wanted.key_id) else ""

    def _fingerprint(self, secret: Secret | None) -> str:
        return secret.fingerprint(self._fingerprint_secret) if secret else ""

    async def _read(self, tenant: str) -> Found:
        rows = await self.table.of_tenant(tenant)
        self.read_at = self._clock.now()
        return self._rows.read(tenant, rows)

    async def _is_anothers(self, key_id: str, tenant: str) -> bool:
        """Has another tenant, which was met before, a row with this id too?"""
        other = self._tenant_of.get(key_id)
        if other in {None, tenant} or other is None:
            return False
        return any(key.key_id == key_id for key in (await self._read(other)).keys)
