"""What goes wrong around a database: other processes, small disks, hands in the file."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Executable, text

from broker.adapters.sql import Database, SqlMarkStore
from broker.ports.errors import StoreUnavailableError
from tests.integration.sql.sql_given import MARK

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(path: Path, *statements: str) -> Iterator[None]:
    """Another process does this on the file, and stays in it."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


@contextmanager
def a_small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A disk of its own; skips the test where the system does not let us mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("may not mount a disk")
    try:
        yield disk
    finally:
        subprocess.run(["/bin/umount", "-l", str(disk)], check=True)


@asynccontextmanager
async def opened(path: Path, busy_s: float = 0.2) -> AsyncIterator[Database]:
    database = await Database.open(path, busy_s=busy_s, deadline_s=4.0)
    yield database
    await database.close()


async def refused(database: Database) -> str:
    """Why a write is surely refused."""
    with pytest.raises(StoreUnavailableError) as caught:
        await SqlMarkStore(database).put(replace(MARK, subject="another"))
    return str(caught.value)


def rename(path: Path, to: Path) -> None:
    path.rename(to)


def fill(path: Path, size: int) -> None:
    path.write_bytes(bytes(size))


def remount(disk: Path, how: str) -> None:
    subprocess.run(["/bin/mount", "-o", f"remount,{how}", str(disk)], check=True)


def execute(connection: Connection, change: Executable) -> None:
    connection.execute(change)


async def run(database: Database, statement: str) -> None:
    await database.write(partial(execute, change=text(statement)))
