"""The secrets of keys to import: opened where they come sealed, and sealed for their place here."""

from dataclasses import dataclass, field

from broker.core.key import KeySettings
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.ports.errors import SealBrokenError
from broker.ports.key_store import KeyNames, StoredKey, StoredRevision
from broker.services.errors import InvalidFieldError
from broker.services.import_lines import SealedKey, Wanted
from broker.services.sealing import Sealing


@dataclass(frozen=True, slots=True)
class OpenRevision:
    """A secret in the clear, under this broker's name for it."""

    name: str
    secret: Secret = field(repr=False)
    created_at: float
    authenticated_at: float | None = None


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A key to import with its secrets, the newest first."""

    line: int
    key_id: str
    tenant: str
    provider: str
    settings: KeySettings
    revisions: tuple[OpenRevision, ...]

    @property
    def names(self) -> KeyNames:
        """What must be new about it."""
        names = tuple(revision.name for revision in self.revisions)
        return KeyNames(self.key_id, self.tenant, self.provider, names)


@dataclass(frozen=True, slots=True)
class ImportSecrets:
    """Takes secrets in, named by this broker's fingerprints."""

    sealing: Sealing

    async def open(self, line: int, key_id: str, wanted: Wanted, now: float) -> OpenKey:
        """A key with its secrets. Raises InvalidField-, SealClosed- and SealUnavailableError."""
        if isinstance(wanted, SealedKey):
            revisions = await self._opened(wanted, now)
        else:
            revisions = (OpenRevision(self._name(wanted.secret), wanted.secret, now),)
        account = wanted.settings.account
        for revision in revisions:
            self.sealing.check_is_no_name(revision.secret, key_id, wanted.tenant, account)
        return OpenKey(line, key_id, wanted.tenant, wanted.provider, wanted.settings, revisions)

    async def seal(self, key: OpenKey, now: float) -> StoredKey:
        """The key as it is kept here. Raises SealClosed- and SealUnavailableError."""
        revisions = []
        for revision in key.revisions:
            base_url = key.settings.base_url
            binding = Binding(key.tenant, key.provider, key.key_id, revision.name, base_url)
            sealed = await self.sealing.sealer.seal(revision.secret, binding)
            times = revision.created_at, revision.authenticated_at
            revisions.append(StoredRevision(revision.name, sealed, *times))
        settings = key.settings
        return StoredKey(key.key_id, key.tenant, key.provider, settings, tuple(revisions), now, now)

    async def _opened(self, key: SealedKey, now: float) -> tuple[OpenRevision, ...]:
        """Its secrets; what another broker's clock took for later than now is now."""
        found: dict[str, OpenRevision] = {}
        for revision in key.revisions:
            secret = await self._open(key, revision)
            at = revision.authenticated_at
            name = self._name(secret)
            if name in found:
                raise InvalidFieldError("sealed", "has the same secret in two revisions")
            found[name] = OpenRevision(
                name, secret, min(revision.created_at, now), None if at is None else min(at, now)
            )
        return tuple(found.values())

    async def _open(self, key: SealedKey, revision: StoredRevision) -> Secret:
        base_url, name = key.settings.base_url, revision.revision
        binding = Binding(key.tenant, key.provider, key.key_id, name, base_url)
        try:
            return await self.sealing.sealer.open(revision.sealed, binding)
        except SealBrokenError:
            raise InvalidFieldError(
                "sealed",
                "does not open: this broker lacks the sealing key, or the tenant, provider, key id,"
                " base URL or revision is not the one that it was sealed for",
            ) from None

    def _name(self, secret: Secret) -> str:
        return secret.fingerprint(self.sealing.fingerprint_secret)
