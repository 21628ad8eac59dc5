"""Authenticated encryption of one byte string: nonce, ciphertext, tag."""

from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.ports.errors import SealBrokenError

_NONCE_BYTES = 12


def close_box(cipher: AESGCM, plaintext: bytes, aad: bytes) -> bytes:
    """Encrypt under a random nonce: one key may close 2³² boxes."""
    nonce = token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, aad)


def open_box(cipher: AESGCM, box: bytes, aad: bytes) -> bytes:
    """Decrypt. Raises SealBrokenError, which says the same whatever is wrong."""
    try:
        return cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        raise broken() from None


def broken() -> SealBrokenError:
    """The one message for whatever does not open."""
    return SealBrokenError("the secret is damaged, was moved, or was sealed by another key")
