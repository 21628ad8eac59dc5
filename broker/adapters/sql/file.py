"""The database's file: private, one broker's at a time, and never made over something else."""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from broker.ports.errors import StoreUnusableError

_HEADER = b"SQLite format 3\0"
_BESIDE = ("", "-wal", "-shm")
_MAX_HOLDER = 200


class DatabaseFile:
    """A file that this process has to itself, from `take` to `give_back`.

    Another name of the same file is the same file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))
        self._lock = -1
        self._inode = -1

    def take(self, holder: str) -> None:
        """Make what is missing and lock the file; `holder` is told to whoever comes second.

        Raises StoreUnusableError.
        """
        try:
            self._refuse_other_kinds()
            _make_folder(self.path.parent)
            self._take_lock(holder)
            self._make_or_recognise()
        except OSError as error:
            self.give_back()
            raise self._unusable(_reason(error)) from None
        except StoreUnusableError:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Let another process have it; the lock's file stays, so that nobody locks a stale one."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def size(self) -> int:
        """How large it is, in bytes."""
        return self.path.stat().st_size

    def is_in_place(self) -> bool:
        """Is the file still where it was opened, so that what is written will be found again?"""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _refuse_other_kinds(self) -> None:
        if self.path.is_dir():
            raise self._unusable("it is a folder: name a file in it")
        if self.path.exists() and not self.path.is_file():
            raise self._unusable("it is no regular file: name another one")

    def _take_lock(self, holder: str) -> None:
        lock = os.open(
            self._beside(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            by = os.pread(lock, _MAX_HOLDER, 0).decode(errors="replace").strip()
            os.close(lock)
            raise self._unusable(
                f"another broker has it ({by or 'it does not say which'}): stop that one, or give"
                " this one a database of its own"
            ) from None
        except OSError:
            os.close(lock)
            raise
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{holder}\n".encode()[:_MAX_HOLDER], 0)

    def _make_or_recognise(self) -> None:
        wal = self._beside("-wal")
        if _size(wal) and not _size(self.path):
            raise self._unusable(f"it is gone, and {wal.name} is still there: put both back")
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with self.path.open("r+b") as file:  # for writing: what is read-only is refused now
            header = file.read(len(_HEADER))
            self._inode = os.fstat(file.fileno()).st_ino
        if header and header != _HEADER:
            raise self._unusable(
                "it is no SQLite database, and is left as it is: restore it from a backup, or name"
                " another file"
            )
        for suffix in _BESIDE:
            _close_to_others(self._beside(suffix))

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _unusable(self, why: str) -> StoreUnusableError:
        return StoreUnusableError(f"the database {self.path} cannot be used: {why}")


def _make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, and those above it that are missing."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _size(path: Path) -> int:
    """Bytes in a file, none where there is no file."""
    return path.stat().st_size if path.exists() else 0


def _close_to_others(path: Path) -> None:
    """Take away what a file's mode gives to everybody."""
    with suppress(OSError):  # it may be another owner's, or not there
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o007:
            path.chmod(mode & 0o770)


def _reason(error: OSError) -> str:
    what = (error.strerror or "the system refused").lower()
    where = f" ({error.filename})" if error.filename else ""
    return f"{what}{where}: {_advice(error.errno)}"


def _advice(number: int | None) -> str:
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"make file and folder readable and writable for user {os.geteuid()}"
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return "make room"
    return "name another file"
