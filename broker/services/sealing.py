"""Sealing the secrets that operators give: named by fingerprint, and never where a name belongs."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.clock import Clock
from broker.ports.errors import SealBrokenError
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.sealer import Sealer
from broker.services.errors import InvalidFieldError
from broker.services.opening import binding_of


@dataclass(frozen=True, slots=True)
class Sealing:
    """Makes revisions to store."""

    sealer: Sealer
    clock: Clock
    fingerprint_secret: bytes = field(repr=False)

    async def revision(
        self, secret: Secret, tenant: str, provider: str, key_id: str, base_url: str
    ) -> StoredRevision:
        """A new revision, which opens in this place alone. Raises SealClosedError."""
        name = secret.fingerprint(self.fingerprint_secret)
        binding = Binding(tenant, provider, key_id, name, base_url)
        sealed = await self.sealer.seal(secret, binding)
        return StoredRevision(name, sealed, self.clock.now())

    async def elsewhere(self, key: StoredKey, base_url: str) -> dict[str, SealedSecret]:
        """The key's secrets sealed for another endpoint, by revision; broken ones are left out.

        Raises SealClosedError.
        """
        resealed = {}
        for revision in key.revisions:
            with suppress(SealBrokenError):
                binding = binding_of(key, revision)
                secret = await self.sealer.open(revision.sealed, binding)
                there = replace(binding, base_url=base_url)
                resealed[revision.revision] = await self.sealer.seal(secret, there)
        return resealed

    def check_is_no_name(self, secret: Secret, *names: str) -> None:
        """Raise InvalidFieldError for a secret that also stands where everybody may read it."""
        if any(secret == Secret(name) for name in names):
            problem = "is also the key's id, its tenant or its account, which are no secrets"
            raise InvalidFieldError("secret", problem)

    def check_is_no_secret(self, field_name: str, value: str, key: StoredKey) -> None:
        """Raise InvalidFieldError for a name that is one of the key's secrets."""
        if not value:
            return
        fingerprint = Secret(value).fingerprint(self.fingerprint_secret)
        if any(revision.revision == fingerprint for revision in key.revisions):
            raise InvalidFieldError(field_name, "is the key's secret: everybody could read it here")
