"""The lease id: a signed token that tells any replica what was granted, and to whom."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

from broker.core.admission import Permit
from broker.core.scope import (
    Scope,
    Upstream,
    account_model_scope,
    account_scope,
    key_model_scope,
    key_scope,
    upstream_principal_scope,
    upstream_scope,
)
from broker.core.words import Family, Provenance, ScopeKind

PREFIX = "kb1."
MAX_TOKEN_CHARS = 8192
_MAC_BYTES = 16
_FIELD = "\x1f"
_ITEM = "\x1e"


class LeaseTokenError(ValueError):
    """The token is not one of ours; forged, foreign and unknown look the same on purpose."""


@dataclass(frozen=True, slots=True)
class LeaseClaims:
    """What a lease token says. Instants are epoch seconds; `tried` are earlier keys of the chain.

    `permits` are the trials this lease is; `slots` how many concurrency slots it holds (0: none).
    """

    uid: str
    key_id: str
    revision: str
    owner: str
    account: str
    provenance: Provenance
    upstream: Upstream
    tenant: str
    principal: str
    first_granted_at: float
    granted_at: float
    ends_at: float
    request_id: str = ""
    attempt: int = 1
    slots: int = 0
    faults: int = 0
    tried: tuple[str, ...] = ()
    permits: tuple[Permit, ...] = ()

    @property
    def is_trial(self) -> bool:
        """Is this lease the one trial of a half-open circuit?"""
        return bool(self.permits)

    def scope(self, kind: ScopeKind) -> Scope:
        """This lease's scope of `kind`; an account scope falls back to the key's own."""
        provider, _endpoint, model = self.upstream
        if kind is ScopeKind.UPSTREAM:
            return upstream_scope(self.upstream)
        if kind is ScopeKind.UPSTREAM_PRINCIPAL:
            return upstream_principal_scope(self.upstream, self.principal)
        if kind is ScopeKind.ACCOUNT and self.account:
            return account_scope(provider, self.owner, self.account)
        if kind is ScopeKind.ACCOUNT_MODEL and self.account:
            return account_model_scope(provider, self.owner, self.account, model)
        if kind in {ScopeKind.KEY_MODEL, ScopeKind.ACCOUNT_MODEL}:
            return key_model_scope(provider, self.key_id, self.revision, model)
        return key_scope(provider, self.key_id, self.revision)


def signing_key(secret: bytes) -> bytes:
    """The key for `sign` and `verify` that a setting of any length stands for."""
    return blake2b(secret, person=b"kb-lease").digest()


def sign(claims: LeaseClaims, key: bytes) -> str:
    """The token of `claims`, authenticated with keyed BLAKE2b; `key` has at most 64 bytes.

    Its fields must hold no control characters: the edge sees to that.
    """
    subject = _subject(
        claims.key_id,
        claims.revision,
        claims.owner,
        claims.account,
        claims.provenance,
        claims.upstream,
    )
    permits = _ITEM.join(f"{permit.scope.kind}:{permit.family}" for permit in claims.permits)
    payload = _FIELD.join(
        (
            claims.uid,
            subject,
            claims.tenant,
            claims.principal,
            repr(claims.first_granted_at),
            repr(claims.granted_at),
            repr(claims.ends_at),
            claims.request_id,
            str(claims.attempt),
            str(claims.slots),
            str(claims.faults),
            _ITEM.join(claims.tried),
            permits,
        )
    ).encode()
    return PREFIX + urlsafe_b64encode(_mac(payload, key) + payload).decode().rstrip("=")


@lru_cache(maxsize=4096)
def _subject(
    key_id: str,
    revision: str,
    owner: str,
    account: str,
    provenance: Provenance,
    upstream: Upstream,
) -> str:
    """The part of a payload that all leases of one key on one upstream share."""
    return _FIELD.join((key_id, revision, owner, account, provenance, *upstream))


def verify(token: str, keys: Sequence[bytes]) -> LeaseClaims:
    """The claims of a token signed with any of `keys`; raises LeaseTokenError otherwise."""
    if len(token) > MAX_TOKEN_CHARS or not token.startswith(PREFIX):
        raise LeaseTokenError
    body = token[len(PREFIX) :]
    try:
        signed = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except ValueError:
        raise LeaseTokenError from None
    mac, payload = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
    if not any(hmac.compare_digest(mac, _mac(payload, key)) for key in keys):
        raise LeaseTokenError
    return _parse(payload.decode())


def _mac(payload: bytes, key: bytes) -> bytes:
    return blake2b(payload, digest_size=_MAC_BYTES, key=key).digest()


def _parse(payload: str) -> LeaseClaims:
    (
        uid,
        key_id,
        revision,
        owner,
        account,
        provenance,
        provider,
        endpoint,
        model,
        tenant,
        principal,
        first_granted_at,
        granted_at,
        ends_at,
        request_id,
        attempt,
        slots,
        faults,
        tried,
        permits,
    ) = payload.split(_FIELD)
    bare = LeaseClaims(
        uid=uid,
        key_id=key_id,
        revision=revision,
        owner=owner,
        account=account,
        provenance=Provenance(provenance),
        upstream=Upstream(provider, endpoint, model),
        tenant=tenant,
        principal=principal,
        first_granted_at=float(first_granted_at),
        granted_at=float(granted_at),
        ends_at=float(ends_at),
        request_id=request_id,
        attempt=int(attempt),
        slots=int(slots),
        faults=int(faults),
        tried=tuple(tried.split(_ITEM)) if tried else (),
    )
    return _with_permits(bare, permits.split(_ITEM)) if permits else bare


def _with_permits(claims: LeaseClaims, permits: list[str]) -> LeaseClaims:
    pairs = (permit.split(":") for permit in permits)
    return replace(
        claims,
        permits=tuple(Permit(claims.scope(ScopeKind(kind)), Family(name)) for kind, name in pairs),
    )
