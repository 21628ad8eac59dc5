"""Pages of long lists: opaque tokens that continue one list under the same filters only."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from broker.services.errors import InvalidFieldError, PageTokenInvalidError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
MAX_TOKEN_CHARS = 4096

_MAC_BYTES = 16

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: at most `size` items after those that `token` ends; "" for the first page."""

    size: int = 0
    token: str = ""

    @property
    def limit(self) -> int:
        """How many items to return at most. Raises InvalidFieldError."""
        if self.size < 0:
            raise InvalidFieldError("page_size", "negative; 0 means the default")
        return min(self.size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page; `next_token` is "" after the last."""

    items: tuple[Item, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class Pager:
    """Signs with the first secret and accepts all, as lease ids do: any replica reads a token."""

    secrets: Sequence[bytes] = field(repr=False)

    def token(self, name: str, filters: Sequence[str], *cursor: str) -> str:
        """The token that continues the list `name` after `cursor`."""
        payload = json.dumps(cursor).encode()
        mac = _mac(self.secrets[0], name, filters, payload)
        return urlsafe_b64encode(mac + payload).decode().rstrip("=")

    def cursor(self, name: str, filters: Sequence[str], token: str) -> tuple[str, ...]:
        """Where the page before ended, () for the first. Raises PageTokenInvalidError."""
        if not token:
            return ()
        if len(token) > MAX_TOKEN_CHARS:
            raise PageTokenInvalidError
        try:
            signed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            raise PageTokenInvalidError from None
        mac, payload = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
        macs = (_mac(secret, name, filters, payload) for secret in self.secrets)
        if not any(hmac.compare_digest(mac, known) for known in macs):
            raise PageTokenInvalidError
        return tuple(json.loads(payload))


def _mac(secret: bytes, name: str, filters: Sequence[str], payload: bytes) -> bytes:
    # "page" keeps this use of the secret apart from that for lease ids.
    bound = json.dumps(["page", name, *filters]).encode() + b"\n" + payload
    return hmac.digest(secret, bound, hashlib.sha256)[:_MAC_BYTES]
