"""A file is read again only when it may have changed, and what is no file is not read at all."""

import os
import time
from pathlib import Path

import pytest

from broker.adapters.sources.watched_file import WatchedFile, read_regular


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture
def in_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written now was written long ago: its stamp tells of every change to come."""
    later = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened."""
    seen: list[str] = []
    really = os.open

    def spy(path: Path, flags: int) -> int:
        seen.append(path.name)
        return really(path, flags)

    monkeypatch.setattr(os, "open", spy)
    return seen


@pytest.mark.usefixtures("in_an_hour")
def test_a_file_that_has_not_changed_is_not_read_again(file: Path, opened: list[str]) -> None:
    file.write_bytes(b"a")
    watched = WatchedFile(file)
    for _ in range(5):
        assert watched.read() == b"a"
    assert opened == [".env"]


def test_a_file_that_was_just_written_is_read_again(file: Path, opened: list[str]) -> None:
    """Another write within the grain of its time would not show."""
    file.write_bytes(b"a")
    watched = WatchedFile(file)
    assert watched.read() == b"a"
    stamp = file.stat()
    file.write_bytes(b"b")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert watched.read() == b"b"
    assert len(opened) == 2


@pytest.mark.usefixtures("in_an_hour")
def test_a_rename_over_a_file_is_noticed_also_when_size_and_time_are_the_same(file: Path) -> None:
    file.write_bytes(b"a")
    watched = WatchedFile(file)
    watched.read()
    stamp = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"b")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.replace(file)
    assert watched.read() == b"b"


@pytest.mark.usefixtures("in_an_hour")
def test_a_link_that_points_elsewhere_is_noticed(tmp_path: Path) -> None:
    """As secrets are mounted into containers."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one")
    watched = WatchedFile(link)
    assert watched.read() == b"one"
    link.unlink()
    link.symlink_to("two")
    assert watched.read() == b"two"


def test_what_is_no_file_or_far_too_large_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").write_bytes(b"#" * (1024 * 1024 + 1))
    for path, problem in (
        (tmp_path, "no regular file"),
        (tmp_path / "pipe", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (tmp_path / "huge", "larger than 1048576 bytes"),
        (tmp_path / "absent", "No such file"),
    ):
        with pytest.raises(OSError, match=problem):
            read_regular(path)


def test_nothing_stays_open(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (file, tmp_path) * 5:
        try:
            read_regular(path)
        except OSError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
