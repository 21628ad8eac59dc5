"""Rows become values and values rows; a row that makes no sense is a fault of the store."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from broker.core.key import KeyLimits, KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.core.words import DenialReason
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import StoredKey, StoredRevision

NO_TIME_S = 253_402_300_800.0
"""The first epoch second that no calendar has: a row of that time or later is damaged, and must not
take the clock there."""

AnyRow = Row[Any]
Values = dict[str, object]


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn what reading a damaged row raises into StoreUnavailableError."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        raise StoreUnavailableError(
            f"the database holds {what} that cannot be read: it is damaged, or of another version"
        ) from None


def settings_values(settings: KeySettings) -> Values:
    """A key's settings as columns."""
    limits, expires_at = settings.limits, settings.expires_at
    return {
        "models": json.dumps(dict(settings.models)),
        "weight": settings.weight,
        "priority": settings.priority,
        "concurrency": limits.concurrency,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "account": settings.account,
        "expires_at": None if expires_at is None else expires_at.timestamp(),
        "base_url": settings.base_url,
    }


def sealed_values(sealed: SealedSecret) -> Values:
    """A sealed secret as columns."""
    return {
        "sealed_by": sealed.sealed_by,
        "wrapped_key": sealed.wrapped_key,
        "ciphertext": sealed.ciphertext,
    }


def sealed_of(row: AnyRow) -> SealedSecret:
    """A sealed secret from its columns."""
    return SealedSecret(_text(row.sealed_by), _bytes(row.wrapped_key), _bytes(row.ciphertext))


def time_of(value: Any) -> float:  # noqa: ANN401 - a column's, of whatever type
    """Epoch or plain seconds; raises ValueError and TypeError for what no clock can show."""
    at = float(value)
    if not 0.0 <= at < NO_TIME_S:
        raise ValueError
    return at


def _text(value: object) -> str:
    """SQLite keeps whatever type it is given, or damage makes."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError
    return value


def policy_values(policy: TenantPolicy) -> Values:
    """A policy as columns."""
    return {
        "tenant": policy.tenant,
        "provider": policy.provider,
        "mode": policy.mode.value,
        "fall_through": json.dumps(sorted(policy.fall_through)),
        "set_by": policy.set_by,
        "set_at": policy.set_at,
    }


def policy_of(row: AnyRow) -> TenantPolicy:
    """A policy from its columns; raises StoreUnavailableError."""
    with readable(f"a policy of tenant {row.tenant!r}"):
        return TenantPolicy(
            tenant=row.tenant,
            provider=row.provider,
            mode=PolicyMode(row.mode),
            fall_through=frozenset(map(DenialReason, json.loads(row.fall_through))),
            set_by=row.set_by,
            set_at=time_of(row.set_at),
        )


def revision_values(key: StoredKey, revision: StoredRevision, rank: int) -> Values:
    """A revision as columns; a higher rank is newer."""
    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "provider": key.provider,
        "revision": revision.revision,
        "rank": rank,
        "created_at": revision.created_at,
        "authenticated_at": revision.authenticated_at,
        **sealed_values(revision.sealed),
    }


def revision_of(row: AnyRow) -> StoredRevision:
    """A revision from its columns."""
    at = row.authenticated_at
    return StoredRevision(
        _text(row.revision),
        sealed_of(row),
        time_of(row.created_at),
        None if at is None else time_of(at),
    )


def key_of(row: AnyRow, revisions: Sequence[AnyRow]) -> StoredKey:
    """A key from its columns and those of its revisions, newest first.

    Raises StoreUnavailableError.
    """
    with readable(f"a key {row.key_id!r}"):
        if not revisions:
            raise ValueError
        caps = (row.concurrency, row.requests_per_minute, row.tokens_per_minute)
        expires_at = row.expires_at
        return StoredKey(
            key_id=row.key_id,
            tenant=row.tenant,
            provider=row.provider,
            settings=KeySettings(
                models={model: _text(name) for model, name in json.loads(row.models).items()},
                weight=float(row.weight),
                priority=int(row.priority),
                limits=KeyLimits(*map(int, caps)),
                account=_text(row.account),
                expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
                base_url=_text(row.base_url),
            ),
            revisions=tuple(map(revision_of, revisions)),
            created_at=time_of(row.created_at),
            updated_at=time_of(row.updated_at),
        )
