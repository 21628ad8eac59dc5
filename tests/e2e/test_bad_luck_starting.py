"""Databases and folders on which no broker can start: one line that says what to do, no hang."""

import asyncio
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from broker.cli.exits import Exit
from tests.e2e.processes import House, copied, house

__all__ = ["house"]


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(64))


def from_the_future(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


async def test_a_database_that_cannot_be_used_is_told_in_one_line_and_left_as_it_is(
    house: House,
) -> None:
    """And a file that is whole again is used again: no lock is left behind."""
    house.write_env(OPENAI_API_KEY=house.issue("s"))
    await house.keep_tenants()
    good = house.database
    bad = {
        "another broker has it (process": good,
        "it is no SQLite database, and is left as it is: restore it": copied(good, "garbage"),
        "it is damaged: stop the broker and restore the file from a backup": copied(good, "torn"),
        "its schema is 9999, and this version knows those up to": copied(good, "newer"),
        "not a directory": house.folder / "file" / "keybroker.db",
    }
    garbage, torn, newer, below_file = list(bad.values())[1:]
    damage(garbage, 0)
    damage(torn, 4096)
    from_the_future(newer)
    below_file.parent.write_text("x")
    before = {path: path.read_bytes() for path in (garbage, torn, newer)}
    holder = await house.start(BOOT_PROBE="off", REPLICA="the-first")
    began = time.monotonic()
    ends = await asyncio.gather(
        *(house.refused(DATABASE=f"sqlite:///{path}") for path in bad.values())
    )
    assert time.monotonic() - began < 40.0
    for (why, path), end in zip(bad.items(), ends, strict=True):
        assert end.code == Exit.CANNOT_START
        assert end.last.startswith(f"keybroker: the database {path} cannot be used: "), end
        assert why in end.last
    assert f"(process {holder.process.pid}, replica the-first): stop that one" in ends[0].last
    assert {path: path.read_bytes() for path in before} == before
    shutil.copyfile(good, torn)
    assert (await holder.lease("acme")).key_id == "acme-1"
    again = await house.start(BOOT_PROBE="off", DATABASE=f"sqlite:///{torn}")
    assert (await again.lease("acme")).key_id == "acme-1"
    for line in (end.last for end in ends):
        assert not re.search(r"Error|sqlite3\.|\[Errno", line), line
