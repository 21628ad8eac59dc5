"""Opening: a private file of one broker, or a refusal that says what to do and changes nothing."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.adapters.sql import Database, SqlMarkStore
from broker.adapters.sql import sqlite as sqlite_module
from broker.adapters.sql.schema import REVISION
from broker.ports.errors import StoreUnusableError
from tests.fakes import eventually
from tests.integration.sql.conftest import Victim
from tests.integration.sql.sql_given import MARK, damage

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def remove(path: Path) -> None:
    path.unlink()


async def refused(path: Path) -> str:
    """Why the database is surely refused; not a byte of the file is changed by that."""
    before = content(path)
    with pytest.raises(StoreUnusableError) as caught:
        await Database.open(path, "second")
    assert content(path) == before
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
async def closed(path: Path) -> Path:
    """A database that was closed well."""
    database = await Database.open(path)
    await SqlMarkStore(database).put(MARK)
    await database.close()
    return path


@pytest.fixture
def _generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_generous_umask")
async def test_nobody_else_can_read_what_is_made(path: Path) -> None:
    nested = path.parent / "deeper" / path.name
    database = await Database.open(nested)
    await SqlMarkStore(database).put(MARK)
    files = sorted(file.name for file in nested.parent.iterdir())
    assert files == ["broker.db", "broker.db-shm", "broker.db-wal", "broker.db.lock"]
    assert {mode(file) for file in nested.parent.iterdir()} == {0o600}
    assert (mode(nested.parent), mode(path.parent)) == (0o700, 0o700)
    await database.close()
    assert sorted(file.name for file in nested.parent.iterdir()) == ["broker.db", "broker.db.lock"]


async def test_a_file_that_everybody_could_read_is_closed_to_them(closed: Path) -> None:
    closed.parent.joinpath(closed.name).chmod(0o664)
    await (await Database.open(closed)).close()
    assert mode(closed) == 0o660


async def test_what_was_kept_is_there_again(closed: Path) -> None:
    database = await Database.open(closed)
    assert await SqlMarkStore(database).marks() == (MARK,)
    await database.close()


async def test_a_second_broker_is_told_who_has_the_database(path: Path, database: Database) -> None:
    assert f"another broker has it (process {os.getpid()}, replica here)" in await refused(path)
    await SqlMarkStore(database).put(MARK)


async def test_another_name_of_the_file_is_the_same_file(path: Path, database: Database) -> None:
    link = path.parent.parent / "link.db"
    link.symlink_to(path)
    with pytest.raises(StoreUnusableError, match="another broker has it"):
        await Database.open(link)


async def test_a_database_that_was_closed_can_be_taken_by_another(
    closed: Path, victim: Victim
) -> None:
    assert victim.does("nothing", closed).told == ["opened"]
    database = await Database.open(closed)
    (told,) = victim.does("nothing", closed).told
    assert f"another broker has it (process {os.getpid()})" in told
    await database.close()
    await database.close()
    assert victim.does("nothing", closed).told == ["opened"]


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "it is a folder: name a file in it" in await refused(tmp_path)


async def test_a_device_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is no regular file" in await refused(tmp_path / "pipe")


async def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnusableError, match=r"not a directory \(.*file"):
        await Database.open(tmp_path / "file" / "broker.db")


@pytest.mark.parametrize("other", [b"OPENAI_API_KEY=sk-1\n", b"\0" * 8192, b"x"])
async def test_a_file_of_another_kind_is_left_as_it_is(path: Path, other: bytes) -> None:
    write(path, other)
    assert "it is no SQLite database, and is left as it is" in await refused(path)


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    """So a broker leaves it that was killed before it had written anything."""
    write(path, b"")
    await (await Database.open(path)).close()


@pytest.mark.parametrize("left", [None, b""])
async def test_changes_whose_database_is_gone_are_not_thrown_away(
    path: Path, database: Database, tmp_path: Path, left: bytes | None
) -> None:
    await SqlMarkStore(database).put(MARK)
    shutil.copytree(path.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / path.name
    whole = content(copy)
    remove(copy)
    if left is not None:
        write(copy, left)
    assert "it is gone, and broker.db-wal is still there: put both back" in await refused(copy)
    write(copy, whole)
    again = await Database.open(copy)
    assert await SqlMarkStore(again).marks() == (MARK,)
    await again.close()


async def test_a_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "it holds tables that are not Keybroker's: name another database" in await refused(path)


async def test_a_schema_of_a_newer_version_is_left_as_it_is(closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    why = await refused(closed)
    assert f"its schema is 9999, and this version knows those up to {REVISION}" in why
    assert "run the version that wrote it, or restore a backup from before the upgrade" in why


@pytest.mark.parametrize("page", range(1, 6))
async def test_damaged_pages_are_found_when_it_opens(closed: Path, page: int) -> None:
    size = 4096
    pages = bytearray(content(closed))
    pages[page * size : page * size + 64] = os.urandom(64)
    write(closed, bytes(pages))
    assert "it is damaged: stop the broker and restore the file" in await refused(closed)


@pytest.fixture
def _every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "CHECKED_BYTES", 0)


@pytest.mark.usefixtures("_every_file_is_large")
@pytest.mark.parametrize("table", ["marks", "last_good", "snapshots", "facts"])
async def test_of_a_large_file_what_decisions_hang_on_is_checked_when_it_opens(
    closed: Path, table: str
) -> None:
    damage(closed, table)
    assert "it is damaged" in await refused(closed)


@pytest.mark.usefixtures("_every_file_is_large")
async def test_the_rest_of_a_large_file_is_checked_beside(closed: Path) -> None:
    damage(closed, "events")
    with capture_logs() as logs:
        database = await Database.open(closed)
        await eventually(lambda: any(line["log_level"] == "error" for line in logs))
        await database.close()
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"] == "database_damaged"
    assert "it is damaged: stop the broker and restore the file" in line["detail"]


async def test_a_file_that_was_cut_off_is_found_when_it_opens(closed: Path) -> None:
    write(closed, content(closed)[:-5000])
    assert "it is damaged" in await refused(closed)


async def test_a_refusal_gives_the_lock_back(closed: Path) -> None:
    before = content(closed)
    write(closed, b"x" * 100)
    await refused(closed)
    write(closed, before)
    await (await Database.open(closed)).close()


@needs_root
def test_a_folder_of_another_user_is_refused(closed: Path, victim: Victim) -> None:
    """Its owner alone can enter it, and so it should be."""
    with opened_up(closed.parents[1]):
        (told,) = victim.does("nothing", closed, uid=NOBODY).told
    assert f"permission denied ({closed}" in told
    assert "make file and folder readable and writable for user 65534" in told


@needs_root
@pytest.mark.parametrize(
    ("folder", "file", "lock"),
    [(0o555, 0o666, 0o666), (0o777, 0o444, 0o666), (0o777, 0o666, 0o444)],
)
def test_what_is_read_only_is_refused(
    closed: Path, victim: Victim, folder: int, file: int, lock: int
) -> None:
    closed.parent.chmod(folder)
    closed.chmod(file)
    closed.with_name("broker.db.lock").chmod(lock)
    before = content(closed)
    with opened_up(closed.parents[1]):
        (told,) = victim.does("nothing", closed, uid=NOBODY).told
    assert "StoreUnusableError" in told
    assert "writable" in told
    assert content(closed) == before


@contextmanager
def opened_up(folder: Path) -> Iterator[None]:
    """Let everybody pass through the folders of the test run."""
    shut = [each for each in (folder, *folder.parents) if not mode(each) & 0o001]
    for each in shut:
        each.chmod(mode(each) | 0o011)
    yield
    for each in shut:
        each.chmod(mode(each) & ~0o011)


async def test_a_lock_that_cannot_be_a_file_is_told_of(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("broker.db.lock").symlink_to("/dev/null")
    with pytest.raises(StoreUnusableError, match=r"broker\.db\.lock"):
        await Database.open(path)


async def test_a_copy_of_a_running_database_opens(
    path: Path, database: Database, tmp_path: Path
) -> None:
    """A backup of all its files, taken between two changes."""
    await SqlMarkStore(database).put(MARK)
    shutil.copytree(path.parent, tmp_path / "copy")
    copy = await Database.open(tmp_path / "copy" / path.name)
    assert await SqlMarkStore(copy).marks() == (MARK,)
    await copy.close()
