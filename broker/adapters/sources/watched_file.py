"""A file that is looked at each second, and read only when it may have changed."""

import os
import time
from pathlib import Path
from stat import S_ISREG

MAX_FILE_BYTES = 1024 * 1024
"""More than any file of keys or settings holds; a larger one is something else."""

GRAIN_NS = 2_000_000_000
"""Two changes that are closer than this may carry the same time: some file systems count so."""

_Stamp = tuple[int, int, int, int, int]


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file of a sane size; raises OSError, and never waits on a pipe."""
    return _read(path)[0]


class WatchedFile:
    """One file, by its path: what is there now, also after a rename over it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: _Stamp | None = None
        self._data = b""

    def read(self) -> bytes:
        """Its bytes as they are now; raises OSError. Blocks: call it in a thread."""
        if self._stamp is None or _stamp(self._path.stat()) != self._stamp:
            self._data, found = _read(self._path)
            self._stamp = found if _is_old(found) else None
        return self._data


def _read(path: Path) -> tuple[bytes, _Stamp]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(handle)
        if not S_ISREG(before.st_mode):
            raise OSError("it is no regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return data, _stamp(before)


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_old(stamp: _Stamp) -> bool:
    """Would a change from now on show in the stamp?"""
    now = time.time_ns()
    return all(changed + GRAIN_NS < now for changed in stamp[3:])
