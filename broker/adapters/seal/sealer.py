"""Seals and opens secrets, or says why it cannot."""

from secrets import token_bytes
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.adapters.seal.box import broken, close_box, open_box
from broker.adapters.seal.wrapper import AesKeyWrapper, KeyWrapper
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import SealClosedError

_DATA_KEY_BYTES = 32


class AesSealer:
    """AES-256-GCM under a new data key a secret: the first wrapper seals, all of them open.

    Both layers are bound to the place of the secret and to the sealing key.
    """

    fault = ""

    def __init__(self, first: KeyWrapper, *others: KeyWrapper) -> None:
        self._first = first
        self._by_id = {wrapper.key_id: wrapper for wrapper in (*others, first)}

    @classmethod
    def of_keys(cls, first: bytes, *others: bytes) -> Self:
        """One that holds its sealing keys itself: 32 bytes each."""
        return cls(AesKeyWrapper(first), *map(AesKeyWrapper, others))

    async def seal(self, secret: Secret, binding: Binding) -> SealedSecret:
        """Seal a secret for this binding."""
        sealed_by = self._first.key_id
        data_key = token_bytes(_DATA_KEY_BYTES)
        wrapped_key = await self._first.wrap(data_key, _context(b"key", sealed_by, binding))
        plaintext = secret.reveal().encode()
        context = _context(b"secret", sealed_by, binding)
        return SealedSecret(sealed_by, wrapped_key, close_box(AESGCM(data_key), plaintext, context))

    async def open(self, sealed: SealedSecret, binding: Binding) -> Secret:
        """Open a secret that one of the sealing keys sealed for this binding."""
        wrapper = self._by_id.get(sealed.sealed_by)
        if wrapper is None:
            raise broken()
        context = _context(b"key", sealed.sealed_by, binding)
        data_key = await wrapper.unwrap(sealed.wrapped_key, context)
        context = _context(b"secret", sealed.sealed_by, binding)
        return Secret(open_box(AESGCM(data_key), sealed.ciphertext, context).decode())


class ClosedSealer:
    """Holds no sealing key that fits: the broker runs, without what is sealed."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    @property
    def fault(self) -> str:
        """Why nothing can be sealed or opened, and what to do."""
        return self._fault

    async def seal(self, secret: Secret, binding: Binding) -> SealedSecret:
        """Refuse."""
        raise SealClosedError(self._fault)

    async def open(self, sealed: SealedSecret, binding: Binding) -> Secret:
        """Refuse."""
        raise SealClosedError(self._fault)


def _context(layer: bytes, sealed_by: str, binding: Binding) -> bytes:
    """What a box is bound to; no layer's name begins another's."""
    name = sealed_by.encode()
    return b"keybroker " + layer + b" 1" + len(name).to_bytes(4) + name + binding.aad()
