"""Giving out tenants' keys as they are kept: sealed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from broker.ports.clock import Clock
from broker.ports.key_store import KeyStore, StoredKey
from broker.services.journal import Journal
from broker.services.keyring import Keyring

STEP = 200
"""Keys read from the store at once."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """Reads tenants' keys in order; it opens nothing."""

    keyring: Keyring
    store: KeyStore
    journal: Journal
    clock: Clock

    async def keys(
        self, principal: str, provider: str, tenant: str
    ) -> AsyncGenerator[StoredKey, None]:
        """Every key of a provider and a tenant ("": of all) by provider and id.

        Those that come from another system are its own to give. Raises ProviderUnknown- and
        StoreUnavailableError.
        """
        if provider:
            self.keyring.provider(provider)
        after, count = ("", ""), 0
        try:
            while True:
                page = await self.store.page(
                    after=after, limit=STEP, provider=provider, tenant=tenant
                )
                for key in page:
                    if not key.source:
                        count += 1
                        yield key
                if len(page) < STEP:
                    return
                after = (page[-1].provider, page[-1].key_id)
        finally:
            self._tell(principal, provider, tenant, count)

    def _tell(self, principal: str, provider: str, tenant: str, count: int) -> None:
        whose = f" of tenant {tenant}" if tenant else ""
        self.journal.record(
            "keys_exported",
            provider,
            self.clock.now(),
            f"{count} keys{whose} exported, sealed, to {principal}",
            principal=principal,
            attributes={"keys": str(count), "tenant": tenant},
        )
