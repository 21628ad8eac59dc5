"""From keys as they are stored to keys that can be leased: their secrets opened."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from broker.core.key import Key
from broker.core.revisions import HeldKey, Revision
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.errors import SealBrokenError, SealClosedError, SealKeyMissingError
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.sealer import Sealer
from broker.services.journal import Journal

MAX_TOLD = 10_000
"""Revisions remembered as told: a broken secret is read again and again."""


class Opening:
    """Opens what the sealer sealed; what does not open is told once and left out."""

    def __init__(
        self, sealer: Sealer, journal: Journal, clock: Clock, vault: Sealer | None = None
    ) -> None:
        """`vault` opens what comes from another system, which it sealed in memory."""
        self._sealer = sealer
        self._vault = vault or sealer
        self._journal = journal
        self._clock = clock
        self._told: set[tuple[str, str, str, bytes]] = set()

    async def read(self, stored: StoredKey) -> HeldKey | None:
        """A stored key with all its revisions that open, or None when none does."""
        revisions = [
            Revision(
                key=described(stored, revision, secret),
                authenticated_at=revision.authenticated_at,
                draining_since=since,
            )
            for revision, since in _with_draining(stored.revisions)
            if (secret := await self.open(stored, revision)) is not None
        ]
        return HeldKey.loaded(revisions) if revisions else None

    async def open(self, stored: StoredKey, revision: StoredRevision) -> Secret | None:
        """The secret of one revision, or None where it does not open.

        Raises SealUnavailableError where that is not known.
        """
        binding = binding_of(stored, revision)
        if stored.source:
            with suppress(SealBrokenError):  # told by the source itself
                return await self._vault.open(revision.sealed, binding)
            return None
        try:
            return await self._sealer.open(revision.sealed, binding)
        except SealClosedError:
            return None  # told by the sealer's fault, once for all keys
        except SealBrokenError as error:
            self.tell(binding, revision.sealed, error)
            return None

    def tell(self, place: Binding, sealed: SealedSecret, error: SealBrokenError) -> None:
        """Tell once that a secret does not open, a system key's last good one or a tenant's."""
        is_missing = isinstance(error, SealKeyMissingError)
        why = sealed.sealed_by if is_missing else ""
        name = (place.key_id, place.revision, why, sealed.ciphertext[-16:])
        if name in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add(name)
        attributes = {"revision": place.revision}
        if place.tenant:
            attributes["tenant"] = place.tenant
        self._journal.record(
            "key_unreadable" if place.tenant else "last_good_unreadable",
            place.provider,
            self._clock.now(),
            f"{place.key_id}: {_MISSING if is_missing else _broken(place)}",
            key_id=place.key_id,
            attributes=attributes,
        )


_MISSING = (
    "its sealing key is not at hand, so its sealed secret does not open; 'keybroker seal status'"
    " tells which to put back"
)


def _broken(place: Binding) -> str:
    if not place.tenant:
        return (
            "its last good secret does not open and is not used; the next one that works takes its"
            " place"
        )
    # Its endpoint is sealed with it: another secret must not go where this one would not.
    look = "check its base_url, then " if place.base_url else ""
    return f"its sealed secret does not open; {look}rotate or delete the key"


def binding_of(stored: StoredKey, revision: StoredRevision) -> Binding:
    """Where a stored secret belongs."""
    base_url = stored.settings.base_url
    return Binding(stored.tenant, stored.provider, stored.key_id, revision.revision, base_url)


def described(
    stored: StoredKey, revision: StoredRevision | None = None, secret: Secret | None = None
) -> Key:
    """One revision of a stored key, the newest if none is given; without secret it only shows."""
    settings, revision = stored.settings, revision or stored.revisions[0]
    return Key(
        key_id=stored.key_id,
        revision=revision.revision,
        provider=stored.provider,
        secret=secret or Secret(""),
        provenance=Provenance.TENANT,
        owner=stored.tenant,
        models=settings.models,
        weight=settings.weight,
        priority=settings.priority,
        limits=settings.limits,
        account=settings.account,
        expires_at=settings.expires_at,
        base_url=settings.base_url,
    )


def _with_draining(
    revisions: Iterable[StoredRevision],
) -> Iterator[tuple[StoredRevision, float | None]]:
    """Each revision, and since when it drains: those older than one that worked do."""
    since: float | None = None
    for revision in revisions:
        yield revision, since
        since = since if since is not None else revision.authenticated_at
