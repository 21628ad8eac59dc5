"""Many keys that wait to be kept, in little room."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

from broker.core.key import KeyLimits, KeySettings
from broker.core.sealed import SealedSecret
from broker.ports.key_store import StoredKey, StoredRevision


class PendingKeys(Sequence[StoredKey]):
    """Keys as plain tuples, made anew when they are asked for.

    The garbage collector soon lets go of tuples of plain values; a hundred thousand objects it
    would go through again and again, and hold up every lease meanwhile.
    """

    def __init__(self) -> None:
        self._packed: list[tuple[Any, ...]] = []

    def append(self, key: StoredKey) -> None:
        """Add a key."""
        self._packed.append(_packed(key))

    def clear(self) -> None:
        """Forget all of them."""
        self._packed.clear()

    def __len__(self) -> int:
        return len(self._packed)

    def __iter__(self) -> Iterator[StoredKey]:
        return map(_unpacked, self._packed)

    @overload
    def __getitem__(self, index: int) -> StoredKey: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StoredKey]: ...
    def __getitem__(self, index: int | slice) -> StoredKey | Sequence[StoredKey]:
        if isinstance(index, slice):
            return list(map(_unpacked, self._packed[index]))
        return _unpacked(self._packed[index])


def _packed(key: StoredKey) -> tuple[Any, ...]:
    settings, limits = key.settings, key.settings.limits
    return (
        (key.key_id, key.tenant, key.provider, key.created_at, key.updated_at),
        tuple(settings.models.items()),
        (settings.weight, settings.priority),
        (limits.concurrency, limits.requests_per_minute, limits.tokens_per_minute),
        (settings.account, settings.expires_at, settings.base_url),
        tuple(map(_packed_revision, key.revisions)),
    )


def _packed_revision(revision: StoredRevision) -> tuple[Any, ...]:
    sealed = revision.sealed
    return (
        revision.revision,
        (sealed.sealed_by, sealed.wrapped_key, sealed.ciphertext),
        (revision.created_at, revision.authenticated_at),
    )


def _unpacked(packed: tuple[Any, ...]) -> StoredKey:
    (key_id, tenant, provider, *times), models, shares, limits, rest, revisions = packed
    weight, priority = shares
    account, expires_at, base_url = rest
    settings = KeySettings(
        dict(models), weight, priority, KeyLimits(*limits), account, expires_at, base_url
    )
    return StoredKey(
        key_id,
        tenant,
        provider,
        settings,
        tuple(StoredRevision(name, SealedSecret(*sealed), *at) for name, sealed, at in revisions),
        *times,
    )
