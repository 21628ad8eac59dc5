"""Bearer tokens: each names a principal; only their digests are kept."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.services.principal import LOCAL, Principal

SCHEME = "bearer "


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class BearerTokens:
    """The principals by the digest of their token; with none configured everybody is LOCAL."""

    principals: Mapping[bytes, Principal] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Is no token needed?"""
        return not self.principals

    def principal(self, authorization: str) -> Principal | None:
        """Who sent this `authorization` header; None when nobody has such a token.

        Every digest is compared, each in constant time: how long it takes tells nothing.
        """
        if not self.principals:
            return LOCAL
        if authorization[: len(SCHEME)].lower() != SCHEME:
            return None
        sent = digest(authorization[len(SCHEME) :].strip())
        found = None
        for known, principal in self.principals.items():
            if hmac.compare_digest(known, sent):
                found = principal
        return found
