"""Copies of sources as files: sealed, whole, of one source, and refused when they are not."""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.adapters.copies import FileSourceCopies
from broker.adapters.copies.text import copy_of, text_of
from broker.adapters.seal import AesSealer, ClosedSealer
from broker.core.key import Key, KeyLimits
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.errors import (
    SealBrokenError,
    SealClosedError,
    SealKeyMissingError,
    StoreUnavailableError,
    StoreUnusableError,
)
from broker.ports.key_source import SourceSnapshot
from broker.ports.source_copies import SourceCopy

CANARY = "sk-canary-0123456789abcdef"
BEFORE = "sk-canary-before-0123456789"
NAMES = b"fingerprint secret"
NAME = "secrets-manager"

FULL = Key(
    key_id="openai/batch",
    revision="0123456789abcdef",
    provider="openai",
    secret=Secret(CANARY),
    provenance=Provenance.SYSTEM,
    models={"gpt-*": "deployment", "o1": ""},
    weight=0.25,
    priority=-7,
    limits=KeyLimits(3, 600, 90_000),
    account="research",
    expires_at=datetime(2026, 5, 6, 7, 8, tzinfo=UTC),
    base_url="https://eastus.test/openai",
)
PLAIN = Key("openai/plain", "aa", "openai", Secret("sk-plain"), Provenance.SYSTEM)
SNAPSHOT = SourceSnapshot(
    (FULL, PLAIN), previous=(replace(FULL, revision="bb", secret=Secret(BEFORE)),)
)
COPY = SourceCopy(NAME, 1_750_000_000.25, SNAPSHOT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "copies"


def copies_in(folder: Path, key: bytes = bytes(32), names: bytes = NAMES) -> FileSourceCopies:
    return FileSourceCopies(folder, AesSealer.of_keys(key), names)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


async def test_what_is_put_is_what_comes_back_also_for_another_process(folder: Path) -> None:
    assert await copies_in(folder).get(NAME) is None
    await copies_in(folder).put(COPY)
    assert await copies_in(folder).get(NAME) == COPY
    assert await copies_in(folder).get("another") is None


async def test_a_copy_takes_the_place_of_the_one_before(folder: Path) -> None:
    copies = copies_in(folder)
    await copies.put(COPY)
    later = SourceCopy(NAME, COPY.read_at + 60, SourceSnapshot((PLAIN,)))
    await copies.put(later)
    assert await copies.get(NAME) == later
    assert only_file(folder).name == "secrets-manager.copy"


async def test_no_plaintext_is_ever_on_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the copy nor in its draft, nor anything else that says whose keys these are."""
    written: list[bytes] = []
    replace_file = Path.replace

    def spied(path: Path, target: Path) -> Path:
        written.append(path.read_bytes())
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", spied)
    await copies_in(folder).put(COPY)
    written.append(only_file(folder).read_bytes())
    assert len(written) == 2
    for data in written:
        for word in (CANARY, BEFORE, "canary", "batch", "research", "eastus", FULL.revision):
            assert word.encode() not in data
    assert CANARY not in repr(COPY)


async def test_nobody_else_may_read_it_whatever_the_umask_says(folder: Path) -> None:
    before = os.umask(0)
    try:
        await copies_in(folder).put(COPY)
    finally:
        os.umask(before)
    assert (mode_of(only_file(folder)), mode_of(folder)) == (0o600, 0o700)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", ".", "ä ö", "x" * 80])
async def test_a_source_of_any_name_stays_in_the_folder(folder: Path, name: str) -> None:
    copy = replace(COPY, source=name)
    await copies_in(folder).put(copy)
    assert only_file(folder).parent == folder
    assert await copies_in(folder).get(name) == copy


def make(folder: Path) -> None:
    folder.mkdir(parents=True)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- What is refused --------------------------------------------------------------------------


def flips(length: int) -> Iterator[int]:
    yield from range(0, length, max(length // 40, 1))


async def test_a_copy_with_any_bit_changed_is_refused_by_name(folder: Path) -> None:
    await copies_in(folder).put(COPY)
    path = only_file(folder)
    data = path.read_bytes()
    for place in flips(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(SealBrokenError, match=r"secrets-manager\.copy"):
            await copies_in(folder).get(NAME)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"sealed_by": 1}'])
async def test_what_is_no_copy_at_all_is_refused(folder: Path, data: bytes) -> None:
    await copies_in(folder).put(COPY)
    only_file(folder).write_bytes(data)
    with pytest.raises(SealBrokenError, match="is damaged, or of another source"):
        await copies_in(folder).get(NAME)


async def test_a_copy_that_was_cut_off_is_refused(folder: Path) -> None:
    await copies_in(folder).put(COPY)
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SealBrokenError):
        await copies_in(folder).get(NAME)


async def test_the_copy_of_another_source_is_refused(folder: Path) -> None:
    await copies_in(folder).put(COPY)
    only_file(folder).rename(folder / "other.copy")
    with pytest.raises(SealBrokenError, match="or of another source"):
        await copies_in(folder).get("other")


async def test_a_copy_of_another_sealing_key_is_refused(folder: Path) -> None:
    await copies_in(folder).put(COPY)
    with pytest.raises(SealKeyMissingError, match="by a key that is not at hand"):
        await copies_in(folder, key=b"another sealing key".ljust(32)).get(NAME)


async def test_a_copy_of_another_fingerprint_secret_is_refused(folder: Path) -> None:
    """Its revisions have other names: nothing that is known of keys would fit."""
    await copies_in(folder).put(COPY)
    with pytest.raises(StoreUnusableError, match="with another fingerprint secret"):
        await copies_in(folder, names=b"another").get(NAME)


def test_a_copy_of_another_version_is_refused() -> None:
    text = json.dumps({**json.loads(text_of(COPY, NAMES)), "version": 2})
    with pytest.raises(StoreUnusableError, match="another version"):
        copy_of(text, NAME, NAMES)


@pytest.mark.parametrize("gone", ["version", "named_by", "keys", "previous", "read_at", "source"])
def test_a_text_without_one_of_its_parts_is_no_copy(gone: str) -> None:
    record = json.loads(text_of(COPY, NAMES))
    del record[gone]
    with pytest.raises(SealBrokenError):
        copy_of(json.dumps(record), NAME, NAMES)


def test_a_text_with_a_strange_key_is_no_copy() -> None:
    record = json.loads(text_of(COPY, NAMES))
    record["keys"][0]["colour"] = "blue"
    with pytest.raises(SealBrokenError):
        copy_of(json.dumps(record), NAME, NAMES)


async def test_without_a_sealing_key_nothing_is_written(folder: Path) -> None:
    copies = FileSourceCopies(folder, ClosedSealer("the key file is missing"), NAMES)
    with pytest.raises(SealClosedError):
        await copies.put(COPY)
    assert files_in(folder.parent) == []


# --- Bad luck ---------------------------------------------------------------------------------


async def test_a_folder_that_cannot_be_made_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    copies = copies_in(tmp_path / "taken")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        await copies.put(COPY)


async def test_a_pipe_in_its_place_hangs_nobody(folder: Path) -> None:
    make(folder)
    os.mkfifo(folder / "secrets-manager.copy")
    async with asyncio.timeout(5):
        with pytest.raises(SealBrokenError):
            await copies_in(folder).get(NAME)


async def test_a_link_in_its_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    await copies_in(folder).put(COPY)
    path = only_file(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        await copies_in(folder).get(NAME)
    await copies_in(folder).put(COPY)
    assert not path.is_symlink()


async def test_drafts_of_a_process_that_was_killed_are_swept_and_fresh_ones_are_not(
    folder: Path,
) -> None:
    make(folder)
    old, fresh = folder / ".secrets-manager.copy.0.new", folder / ".secrets-manager.copy.1.new"
    for draft in (old, fresh):
        draft.write_bytes(b"half")
    os.utime(old, (1, 1))
    await copies_in(folder).put(COPY)
    assert files_in(folder) == [fresh.name, "secrets-manager.copy"]


async def test_writers_that_race_leave_one_whole_copy(folder: Path) -> None:
    made = [replace(COPY, read_at=float(at)) for at in range(10)]
    await asyncio.gather(*(copies_in(folder).put(copy) for copy in made))
    assert await copies_in(folder).get(NAME) in made
    assert files_in(folder) == ["secrets-manager.copy"]


async def test_a_copy_of_what_was_asked_for_before_is_refused(folder: Path) -> None:
    sealer = AesSealer.of_keys(bytes(32))
    await FileSourceCopies(folder, sealer, NAMES, of="teams/*").put(COPY)
    with pytest.raises(SealBrokenError):
        await FileSourceCopies(folder, sealer, NAMES, of="keybroker/*").get(NAME)
