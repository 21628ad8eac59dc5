"""Check values: whether two hold the same secret can be seen without showing it."""

import hashlib
import hmac

_BYTES = 12


def check_value(secret: bytes, purpose: str) -> str:
    """A keyed hash of a fixed text (24 hex digits): the same for the same secret and purpose only.

    Safe to store where what the secret protects is stored.
    """
    text = f"keybroker check value: {purpose}".encode()
    return hmac.digest(secret, text, hashlib.sha256)[:_BYTES].hex()
