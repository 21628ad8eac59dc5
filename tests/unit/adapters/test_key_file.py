"""Key files: made once and whole, read strictly."""

import os
import stat
from pathlib import Path

import pytest

from broker.adapters.keyfiles import KeyFile, KeyFileError, Purpose

LINE = f"keybroker-seal-1 {'ab' * 32}\n"
KEY = b"\xab" * 32


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "data" / "seal.key", Purpose.SEAL)


def put(file: KeyFile, text: str = LINE, mode: int = 0o600) -> None:
    file.path.parent.mkdir(exist_ok=True)
    file.path.write_text(text)
    file.path.chmod(mode)


def refusal(file: KeyFile) -> str:
    """What both ways to get the keys say against a file, which they leave as it is."""
    with pytest.raises(KeyFileError) as read:
        file.read()
    with pytest.raises(KeyFileError) as obtained:
        file.obtain()
    message = str(read.value)
    assert str(obtained.value) == message
    assert message.startswith(f"{file.path} ")
    assert "ab" * 32 not in message
    return message


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_reading_makes_no_file(file: KeyFile) -> None:
    assert file.read() is None
    assert not file.path.parent.exists()


def test_a_file_is_made_once(file: KeyFile) -> None:
    made = file.obtain()
    assert [len(key) for key in made] == [32]
    assert file.obtain() == file.read() == made
    assert names_in(file.path.parent) == ["seal.key"]


def test_two_files_have_different_keys(file: KeyFile) -> None:
    assert file.obtain() != KeyFile(file.path.with_name("lease.key"), Purpose.LEASE).obtain()
    assert names_in(file.path.parent) == ["lease.key", "seal.key"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_its_user_can_touch_a_file_whatever_the_umask_is(file: KeyFile, umask: int) -> None:
    file.path.parent.parent.chmod(0o700)
    before = os.umask(umask & 0o077)
    try:
        file.path.parent.mkdir(mode=0o700)
        os.umask(umask)
        file.obtain()
    finally:
        os.umask(before)
    assert mode_of(file.path) == 0o600


def test_the_folder_is_made_for_its_user_only(file: KeyFile) -> None:
    file.obtain()
    assert mode_of(file.path.parent) == 0o700


def test_the_first_line_is_the_key_in_use(file: KeyFile) -> None:
    put(file, LINE + LINE.replace("ab", "cd"))
    assert file.read() == (KEY, b"\xcd" * 32)


def test_the_last_line_may_lack_its_end(file: KeyFile) -> None:
    put(file, LINE.rstrip())
    assert file.read() == (KEY,)


@pytest.mark.parametrize("length", range(len(LINE) - 1))
def test_a_file_that_was_cut_off_is_refused(file: KeyFile, length: int) -> None:
    put(file, LINE[:length])
    assert "is damaged: put it back from a backup." in refusal(file)


@pytest.mark.parametrize(
    "text",
    [LINE.upper(), LINE.replace("-1", "-2"), f" {LINE}", f"{LINE}\n", LINE * 60, "\0" * 81, "é"],
)
def test_a_file_that_holds_something_else_is_refused(file: KeyFile, text: str) -> None:
    put(file, text)
    assert "is damaged" in refusal(file)


def test_a_file_that_holds_a_key_for_something_else_is_refused(file: KeyFile) -> None:
    put(file, LINE.replace("seal", "lease"))
    assert "holds no seal key but another one" in refusal(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_file_that_others_can_touch_is_refused(file: KeyFile, mode: int) -> None:
    put(file, mode=mode)
    assert f"mode {mode:04o}): run chmod 600 {file.path}." in refusal(file)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_that_only_its_user_can_touch_is_read(file: KeyFile, mode: int) -> None:
    put(file, mode=mode)
    assert file.read() == (KEY,)


@pytest.mark.parametrize("is_dangling", [True, False])
def test_a_symbolic_link_is_refused(file: KeyFile, is_dangling: bool) -> None:  # noqa: FBT001
    put(file)
    target = file.path.rename(file.path.parent / "elsewhere")
    file.path.symlink_to(target)
    if is_dangling:
        target.unlink()
    assert "is a symbolic link: put the file itself there." in refusal(file)


def test_a_folder_behind_a_symbolic_link_is_followed(file: KeyFile) -> None:
    put(file)
    link = file.path.parent.with_name("link")
    link.symlink_to(file.path.parent)
    assert KeyFile(link / "seal.key", Purpose.SEAL).obtain() == (KEY,)


def test_a_folder_in_the_place_of_the_file_is_refused(file: KeyFile) -> None:
    file.path.mkdir(parents=True)
    assert "is no regular file" in refusal(file)


def test_a_pipe_in_the_place_of_the_file_is_refused_without_waiting_for_a_writer(
    file: KeyFile,
) -> None:
    file.path.parent.mkdir()
    os.mkfifo(file.path, 0o600)
    assert "is no regular file" in refusal(file)


def test_a_file_of_another_user_is_refused(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    put(file)
    owner = file.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner != 0:
        assert f"belongs to user {owner}: run chown {owner + 1} {file.path}" in refusal(file)
    else:
        assert file.read() == (KEY,)  # root could read it anyway


def test_a_file_of_a_plain_user_is_refused_by_root(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = os.fstat

    def fstat(handle: int) -> os.stat_result:
        found = real(handle)
        return os.stat_result((*found[:4], 1000, *found[5:]))

    monkeypatch.setattr(os, "fstat", fstat)
    assert f"belongs to user 1000: run chown 0 {file.path}, if you trust it." in refusal(file)


@pytest.mark.parametrize(
    ("purpose", "advice"),
    [
        (Purpose.SEAL, "what it sealed is lost"),
        (Purpose.LEASE, "leases that are out are no longer known"),
        (Purpose.FINGERPRINT, "the health of keys is learned anew"),
    ],
)
def test_damage_is_told_with_what_it_costs(tmp_path: Path, purpose: Purpose, advice: str) -> None:
    file = KeyFile(tmp_path / "any.name", purpose)
    put(file, "")
    assert advice in refusal(file)


def test_a_folder_that_cannot_be_made_is_told(file: KeyFile) -> None:
    file.path.parent.write_text("in the way")
    with pytest.raises(KeyFileError, match=r"seal\.key cannot be read: Not a directory\.$"):
        file.obtain()


@pytest.mark.parametrize("call", ["fchmod", "fsync", "link"])
def test_a_full_disk_leaves_nothing_behind(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(KeyFileError, match=r"seal\.key cannot be made: No space left on device\.$"):
        file.obtain()
    assert names_in(file.path.parent) == []


def test_a_file_system_without_hard_links_is_told(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(1, os.strerror(1), str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(KeyFileError, match="has no hard links, use a local one"):
        file.obtain()


def test_the_text_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_is_used(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    link, fsync = os.link, os.fsync

    def tell_link(source: Path, target: Path) -> None:
        steps.append(f"link {target.name}")
        link(source, target)

    def tell_fsync(handle: int) -> None:
        found = os.fstat(handle)
        is_folder = stat.S_ISDIR(found.st_mode)
        steps.append("sync folder" if is_folder else f"sync {found.st_size} bytes")
        fsync(handle)

    monkeypatch.setattr(os, "link", tell_link)
    monkeypatch.setattr(os, "fsync", tell_fsync)
    file.obtain()
    assert steps == [f"sync {len(LINE)} bytes", "link seal.key", "sync folder"]
    file.obtain()
    assert steps[3:] == ["sync folder"]  # the one who made it may have died before
