"""A key that is added to a file: behind the others, at once or not at all."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.adapters.keyfiles import KeyFile, KeyFileError, Purpose
from broker.adapters.keyfiles.text import MAX_KEYS


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    file = KeyFile(tmp_path / "seal.key", Purpose.SEAL)
    file.obtain()
    return file


def test_a_key_is_added_behind_the_others(file: KeyFile) -> None:
    before = file.read()
    assert before is not None
    added = file.append()
    assert file.read() == (*before, added)
    assert [path.name for path in file.path.parent.iterdir()] == ["seal.key"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_file_without_a_line_end_takes_a_key_on_a_line_of_its_own(file: KeyFile) -> None:
    file.path.write_text(file.path.read_text().rstrip("\n"))
    file.append()
    assert len(file.read() or ()) == 2


def test_those_that_race_each_add_theirs(file: KeyFile) -> None:
    with ThreadPoolExecutor(8) as pool:
        added = [future.result() for future in [pool.submit(file.append) for _ in range(24)]]
    keys = file.read() or ()
    assert len(keys) == 25
    assert set(added) == set(keys[1:])


def test_a_file_that_cannot_be_used_takes_none_and_stays_as_it_is(file: KeyFile) -> None:
    text = file.path.read_text()
    file.path.write_text(text[:40])
    with pytest.raises(KeyFileError, match=r"seal\.key is damaged"):
        file.append()
    assert file.path.read_text() == text[:40]
    file.path.write_text(text)
    file.path.chmod(0o640)
    with pytest.raises(KeyFileError, match="run chmod 600"):
        file.append()
    assert file.path.read_text() == text


def test_where_there_is_no_file_none_is_made(file: KeyFile) -> None:
    file.path.unlink()
    with pytest.raises(KeyFileError, match="is missing: put it back"):
        file.append()
    assert list(file.path.parent.iterdir()) == []


def test_a_link_is_not_followed(file: KeyFile) -> None:
    elsewhere = file.path.rename(file.path.with_name("elsewhere"))
    text = elsewhere.read_text()
    file.path.symlink_to(elsewhere)
    with pytest.raises(KeyFileError, match="cannot be changed"):
        file.append()
    assert elsewhere.read_text() == text


def test_a_full_file_takes_no_more(file: KeyFile) -> None:
    for _ in range(MAX_KEYS - 1):
        file.append()
    with pytest.raises(KeyFileError, match=f"has {MAX_KEYS} keys: take out"):
        file.append()
    assert len(file.read() or ()) == MAX_KEYS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_not_touched(file: KeyFile) -> None:
    os.chown(file.path, 65534, 65534)
    line = file.path.read_bytes()
    with pytest.raises(KeyFileError, match="belongs to user 65534"):
        file.append()
    assert file.path.read_bytes() == line
