"""Seals and opens secrets, or says why it cannot."""

from secrets import token_bytes
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.adapters.seal.box import broken, close_box, open_box
from broker.adapters.seal.wrapper import AesKeyWrapper, KeyWrapper
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import SealClosedError, SealKeyMissingError

_DATA_KEY_BYTES = 32


class AesSealer:
    """AES-256-GCM under a new data key a secret: one wrapper seals, all of them open.

    The first seals until another is used. Both layers are bound to the place of the secret and to
    the sealing key. Keys that are made live as long as the process.
    """

    fault = ""
    trouble = ""
    generation = 0

    def __init__(self, first: KeyWrapper, *others: KeyWrapper) -> None:
        self._first = first
        self._by_id = {wrapper.key_id: wrapper for wrapper in (*others, first)}

    @classmethod
    def of_keys(cls, first: bytes, *others: bytes) -> Self:
        """One that holds its sealing keys itself: 32 bytes each."""
        return cls(AesKeyWrapper(first), *map(AesKeyWrapper, others))

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._first.key_id

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all keys."""
        return frozenset(self._by_id)

    @property
    def named(self) -> frozenset[str]:
        """The same."""
        return self.ids

    def take(self, wrapper: KeyWrapper) -> None:
        """Open also with this key."""
        self._by_id.setdefault(wrapper.key_id, wrapper)

    def use(self, key_id: str) -> bool:
        """Seal with this key from now on."""
        wrapper = self._by_id.get(key_id)
        if wrapper is not None:
            self._first = wrapper
        return wrapper is not None

    async def refresh(self) -> None:
        """Nothing: keys come only by `take` and `make`."""

    async def settle(self, sealed_by: frozenset[str]) -> None:
        """Nothing: it is open."""

    async def prove(self, key_id: str) -> None:
        """Find the key."""
        if key_id not in self._by_id:
            raise SealKeyMissingError(f"key {key_id} is not at hand")

    async def make(self) -> str:
        """Make a key for as long as the process lives."""
        wrapper = AesKeyWrapper(token_bytes(_DATA_KEY_BYTES))
        self.take(wrapper)
        return wrapper.key_id

    async def seal(self, secret: Secret, binding: Binding) -> SealedSecret:
        """Seal a secret for this binding."""
        first = self._first
        data_key = token_bytes(_DATA_KEY_BYTES)
        wrapped_key = await first.wrap(data_key, _context(b"key", first.key_id, binding))
        plaintext = secret.reveal().encode()
        context = _context(b"secret", first.key_id, binding)
        ciphertext = close_box(AESGCM(data_key), plaintext, context)
        return SealedSecret(first.key_id, wrapped_key, ciphertext)

    async def open(self, sealed: SealedSecret, binding: Binding) -> Secret:
        """Open a secret that one of the sealing keys sealed for this binding."""
        wrapper = self._by_id.get(sealed.sealed_by)
        if wrapper is None:
            raise SealKeyMissingError(str(broken()))
        context = _context(b"key", sealed.sealed_by, binding)
        data_key = await wrapper.unwrap(sealed.wrapped_key, context)
        context = _context(b"secret", sealed.sealed_by, binding)
        try:
            return Secret(open_box(AESGCM(data_key), sealed.ciphertext, context).decode())
        except ValueError:  # whoever may ask the service that wraps can have it wrap anything
            raise broken() from None


class ClosedSealer:
    """Holds no sealing key that fits: the broker runs, without what is sealed."""

    trouble = ""
    current = ""
    ids = named = frozenset[str]()
    generation = 0

    def __init__(self, fault: str) -> None:
        self._fault = fault

    @property
    def fault(self) -> str:
        """Why nothing can be sealed or opened, and what to do."""
        return self._fault

    def use(self, _key_id: str) -> bool:
        """There is none."""
        return False

    async def refresh(self) -> None:
        """Stay closed."""

    async def settle(self, _sealed_by: frozenset[str]) -> None:
        """Stay closed."""

    async def prove(self, key_id: str) -> None:
        """There is none."""
        raise SealKeyMissingError(f"key {key_id} is not at hand")

    async def make(self) -> str:
        """Refuse."""
        raise SealClosedError(self._fault)

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
