"""Lease ids: signed when granted, opened only for the principal they were granted to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from broker.core.lease_token import LeaseClaims, LeaseTokenError, sign, signing_key, verify
from broker.services.errors import LeaseUnknownError
from broker.services.principal import Principal


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs with the first key and accepts all, so that the secret behind it can rotate."""

    keys: Sequence[bytes] = field(repr=False)

    @classmethod
    def of(cls, secrets: Iterable[bytes]) -> "Tokens":
        """Tokens of these secrets, the current one first."""
        return cls(tuple(signing_key(secret) for secret in secrets))

    def sign(self, claims: LeaseClaims) -> str:
        """The lease id of `claims`."""
        return sign(claims, self.keys[0])

    def open(self, lease_id: str, principal: Principal) -> LeaseClaims:
        """What a lease id says; raises LeaseUnknownError for any that is not this caller's."""
        try:
            claims = verify(lease_id, self.keys)
        except LeaseTokenError:
            raise LeaseUnknownError from None
        if claims.principal != principal.name:
            raise LeaseUnknownError
        return claims


def member_of(claims: LeaseClaims) -> str:
    """The lease's name in claims: a repeat of the same request and attempt takes the same slot."""
    if not claims.request_id:
        return claims.uid
    request = (claims.principal, claims.tenant, claims.request_id, str(claims.attempt))
    return blake2b("\x1f".join((*request, claims.key_id)).encode(), digest_size=12).hexdigest()
