"""The plaintext of a key, in a type that cannot be rendered by accident."""

import hashlib
import hmac
from typing import Never


class Secret:
    """A plaintext that shows itself only to `reveal`.

    repr, str, format and pickling never contain it; equality is constant-time.
    """

    __slots__ = ("_plaintext",)

    def __init__(self, plaintext: str) -> None:
        self._plaintext = plaintext

    def reveal(self) -> str:
        """The plaintext: call this only where it leaves for its rightful receiver."""
        return self._plaintext

    def fingerprint(self, fingerprint_secret: bytes) -> str:
        """A short keyed hash (16 hex digits), safe to log: names a revision."""
        digest = hmac.digest(fingerprint_secret, self._plaintext.encode(), hashlib.sha256)
        return digest[:8].hex()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._plaintext.encode(), other._plaintext.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._plaintext))

    def __bool__(self) -> bool:
        return bool(self._plaintext)

    def __repr__(self) -> str:
        return "Secret(**redacted**)"

    def __reduce__(self) -> Never:
        """Refuse to be pickled, so that no queue or cache stores a plaintext."""
        raise TypeError("a Secret is never serialised")
