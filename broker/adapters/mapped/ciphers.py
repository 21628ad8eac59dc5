"""How secrets stand in another system's table: plain, or under Fernet."""

from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from broker.adapters.sources.watched_file import read_regular
from broker.ports.errors import StoreUnusableError

Decrypt = Callable[[bytes], bytes]
"""The plaintext of what a row holds; raises ValueError, which says what is wrong."""


def plain(stored: bytes) -> bytes:
    """A secret that stands there as it is."""
    return stored


def fernet(path: Path) -> Decrypt:
    """Opens what one of the keys in a file closed, one key a line, as their system keeps them.

    Raises StoreUnusableError.
    """
    try:
        keys = MultiFernet([Fernet(line) for line in read_regular(path).split()])
    except OSError as error:
        raise StoreUnusableError(
            f"the cipher key file {path} cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        raise StoreUnusableError(
            f"the cipher key file {path} must hold Fernet keys, one a line: 32 bytes in URL-safe"
            " base64 each"
        ) from None

    def decrypt(stored: bytes) -> bytes:
        try:
            return keys.decrypt(stored)
        except InvalidToken:
            raise ValueError(f"is not encrypted under a key of {path}, or is damaged") from None

    return decrypt
