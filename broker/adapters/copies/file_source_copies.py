"""Copies as files of a folder: one a source, sealed as a whole, replaced as a whole."""

import asyncio
import json
import os
import stat
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final
from urllib.parse import quote

from broker.adapters.copies.text import copy_of, text_of
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import (
    SealBrokenError,
    SealKeyMissingError,
    StoreUnavailableError,
)
from broker.ports.sealer import Sealer
from broker.ports.source_copies import SourceCopy

MAX_BYTES: Final = 64 * 2**20
"""Far above any copy: more is something else."""

LEFT_S: Final = 60.0
"""A draft that is older was left by a process that was killed."""


class FileSourceCopies:
    """Files `<source>.copy` that nobody else may read; what is in them is sealed all the same.

    The seal binds a file to its source, and to what the source was asked for (`of`): put in
    another's place, or asked for other keys, it does not open. How old it is stands inside.
    """

    def __init__(
        self, folder: Path, sealer: Sealer, fingerprint_secret: bytes, of: str = ""
    ) -> None:
        self._folder = folder
        self._of = of
        self._sealer = sealer
        self._fingerprint_secret = fingerprint_secret

    async def get(self, source: str) -> SourceCopy | None:
        """The copy of a source."""
        path = self._path(source)
        try:
            data = await asyncio.to_thread(_read, path)
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be read: {error.strerror}") from None
        if data is None:
            return None
        try:
            text = await self._sealer.open(_sealed(data), self._binding(source))
            copy = copy_of(text.reveal(), source, self._fingerprint_secret)
        except SealKeyMissingError:
            raise SealKeyMissingError(f"{path} was sealed by a key that is not at hand") from None
        except SealBrokenError:
            message = f"{path} is damaged, or of another source"
            raise SealBrokenError(message) from None
        if copy.source != source:
            raise SealBrokenError(f"{path} is a copy of another source")
        return copy

    async def put(self, copy: SourceCopy) -> None:
        """Seal a copy and put it in place of the source's earlier one."""
        path, text = self._path(copy.source), text_of(copy, self._fingerprint_secret)
        sealed = await self._sealer.seal(Secret(text), self._binding(copy.source))
        try:
            await asyncio.to_thread(_replace, path, _data(sealed))
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be written: {error.strerror}") from None

    def _path(self, source: str) -> Path:
        return self._folder / f"{quote(source, safe='')}.copy"

    def _binding(self, source: str) -> Binding:
        """What a copy is bound to: no key has this provider, whose name is none."""
        return Binding("", "", "copy of", source, self._of)


def _data(sealed: SealedSecret) -> bytes:
    record = {
        "sealed_by": sealed.sealed_by,
        "wrapped_key": b64encode(sealed.wrapped_key).decode(),
        "ciphertext": b64encode(sealed.ciphertext).decode(),
    }
    return json.dumps(record).encode()


def _sealed(data: bytes) -> SealedSecret:
    try:
        record = json.loads(data)
        wrapped_key = b64decode(record["wrapped_key"], validate=True)
        ciphertext = b64decode(record["ciphertext"], validate=True)
        return SealedSecret(str(record["sealed_by"]), wrapped_key, ciphertext)
    except (ValueError, TypeError, KeyError):
        raise SealBrokenError("it is no sealed copy") from None


def _read(path: Path) -> bytes | None:
    """The bytes of a regular file, None where there is none; a pipe must not hang it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return b""
        return file.read(MAX_BYTES)


def _replace(path: Path, data: bytes) -> None:
    """Have all of the file or none of it, also after a power failure."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.new"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > LEFT_S:
                left.unlink()
    draft = path.with_name(f".{path.name}.{token_hex(8)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
