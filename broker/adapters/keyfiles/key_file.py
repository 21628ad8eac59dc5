"""One key file: read strictly, made once and whole."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from broker.adapters.keyfiles.text import (
    MAX_BYTES,
    MAX_KEYS,
    KeyFileError,
    Purpose,
    fresh_line,
    keys_in,
)

_IS_MISSING = "is missing: put it back, or make one."
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with the key for one purpose.

    It must be a regular file of this process's user (or root's) that nobody else may touch. A
    symbolic link is refused, since its target may lie where others write; links among the folders
    above are followed. Others who may write the folder can take the file away, but put none in its
    place, because of its owner.
    """

    path: Path
    purpose: Purpose

    def read(self) -> tuple[bytes, ...] | None:
        """Its keys, the one in use first; None where there is no file. Raises KeyFileError."""
        try:
            text = _read_strictly(self.path)
            return None if text is None else keys_in(text, self.purpose)
        except KeyFileError as error:
            raise KeyFileError(f"{self.path} {error}") from None
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be read: {error.strerror}.") from None

    def obtain(self) -> tuple[bytes, ...]:
        """Its keys; where there is no file, one is made. Raises KeyFileError.

        Processes that race get the same keys. From here on the file outlives a power failure, also
        where the process that made it died before it could see to that.
        """
        keys = self.read()
        try:
            if keys is None:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make(self.path, fresh_line(self.purpose))
                keys = self.read()
            _sync_folder(self.path.parent)
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be made: {_why(error)}.") from None
        if keys is None:
            raise KeyFileError(f"{self.path} was taken away while it was made.")
        _sweep(self.path)
        return keys

    def append(self) -> bytes:
        """Add a fresh key behind the others, durable on return; the key. Raises KeyFileError.

        The file has all of the new text or is as it was, whatever happens meanwhile. Processes that
        race each add theirs.
        """
        try:
            with _alone(self.path):
                line = _append(self.path, self.purpose)
                _sync_folder(self.path.parent)
        except KeyFileError as error:
            raise KeyFileError(f"{self.path} {error}") from None
        except FileNotFoundError:
            raise KeyFileError(f"{self.path} {_IS_MISSING}") from None
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be changed: {error.strerror}.") from None
        return keys_in(line, self.purpose)[0]


def _append(path: Path, purpose: Purpose) -> bytes:
    """Add a line with a fresh key; the line."""
    text = _read_strictly(path)
    if text is None:
        raise KeyFileError(_IS_MISSING)
    if len(keys_in(text, purpose)) >= MAX_KEYS:
        raise KeyFileError(f"has {MAX_KEYS} keys: take out those that seal nothing.")
    line = fresh_line(purpose)
    _replace(path, text.removesuffix(b"\n") + b"\n" + line)
    return line


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from changing a file; a lock on one that was replaced is none."""
    while True:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(handle), path.lstat()):
                yield
                return
        finally:
            os.close(handle)


def _replace(path: Path, text: bytes) -> None:
    """Put a file with this text in place of another."""
    draft = _draft_of(path)
    try:
        with os.fdopen(os.open(draft, _NEW, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{token_hex(8)}.new")


def _read_strictly(path: Path) -> bytes | None:
    """The bytes of a file that only this user can have written or read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not hang it
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise KeyFileError("is a symbolic link: put the file itself there.") from None
    try:
        _check(os.fstat(handle), path)
        return os.read(handle, MAX_BYTES)
    finally:
        os.close(handle)


def _check(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError("is no regular file: move it away, and put the key file there.")
    if found.st_uid not in {os.geteuid(), 0}:
        raise KeyFileError(
            f"belongs to user {found.st_uid}: run chown {os.geteuid()} {path}, if you trust it."
        )
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(found.st_mode)
        raise KeyFileError(f"is open to other users (mode {mode:04o}): run chmod 600 {path}.")


def _make(path: Path, text: bytes) -> None:
    """Make a file at once with all of its text, unless another process did so first."""
    draft = _draft_of(path)
    try:
        with os.fdopen(os.open(draft, _NEW, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, this replaces nothing
    except (FileExistsError, FileNotFoundError):
        return  # the other process made it, and perhaps swept this draft
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(path: Path) -> None:
    """Remove the drafts of processes that were killed: none can become the file any more."""
    for draft in path.parent.glob(f".{path.name}.*.new"):
        try:
            draft.unlink(missing_ok=True)
        except OSError:
            return  # a folder that cannot be written now: the next start sweeps


def _why(error: OSError) -> str:
    if error.errno in {errno.EPERM, errno.EOPNOTSUPP} and error.filename2 is not None:
        return "its file system has no hard links, use a local one"
    return error.strerror or "the system gave no reason"
