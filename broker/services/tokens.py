"""Lease ids: signed when granted, opened only for the principal they were granted to."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from broker.core.lease_token import LeaseClaims, LeaseTokenError, sign, verify
from broker.services.errors import LeaseUnknownError
from broker.services.principal import Principal


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs with the first secret and accepts all, so that the secret can rotate."""

    secrets: Sequence[bytes]

    def sign(self, claims: LeaseClaims) -> str:
        """The lease id of `claims`."""
        return sign(claims, self.secrets[0])

    def open(self, lease_id: str, principal: Principal) -> LeaseClaims:
        """What a lease id says; raises LeaseUnknownError for any that is not this caller's."""
        try:
            claims = verify(lease_id, self.secrets)
        except LeaseTokenError:
            raise LeaseUnknownError from None
        if claims.principal != principal.name:
            raise LeaseUnknownError
        return claims


def member_of(claims: LeaseClaims) -> str:
    """The lease's name in claims: a repeat of the same request and attempt takes the same slot."""
    if not claims.request_id:
        return claims.uid
    name = "\x1f".join((claims.principal, claims.tenant, claims.request_id, str(claims.attempt)))
    return blake2b(name.encode(), digest_size=12).hexdigest()
