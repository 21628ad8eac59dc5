"""Sealing keys, which wrap the data keys."""

import hashlib
import hmac
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.adapters.seal.box import close_box, open_box

_KEY_BYTES = 32


class KeyWrapper(Protocol):
    """One sealing key, wherever it is kept: in this process, or in a service that wraps for it."""

    @property
    def key_id(self) -> str:
        """Names the key for good, and says nothing about it."""
        ...

    @property
    def fault(self) -> str:
        """Why the last call of it failed, and what to do; "" when it did not."""
        ...

    async def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Encrypt a data key so that it unwraps in this context alone.

        Raises SealUnavailableError.
        """
        ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The data key. Raises SealBrokenError and SealUnavailableError."""
        ...


class AesKeyWrapper:
    """A sealing key of 32 bytes in this process's memory."""

    fault = ""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:  # AES would also take shorter ones
            raise ValueError("a sealing key has 32 bytes")
        self._cipher = AESGCM(key)
        self._key_id = hmac.digest(key, b"keybroker sealing key id", hashlib.sha256)[:8].hex()

    @property
    def key_id(self) -> str:
        """A short keyed hash of the key: 16 hex digits."""
        return self._key_id

    async def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Encrypt a data key under AES-256-GCM."""
        return close_box(self._cipher, data_key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a data key."""
        return open_box(self._cipher, wrapped, context)
