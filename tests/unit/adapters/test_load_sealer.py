"""From the key file to a sealer: never a fresh key over existing ciphertext."""

from pathlib import Path

import pytest

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesKeyWrapper, load_sealer
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import SealBrokenError, SealClosedError

HERE = Binding("acme", "openai", "acme/1", "aa")
SECRET = Secret("sk-canary-0123456789")
STRANGER = "0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "seal.key", Purpose.SEAL)


async def sealed_with(file: KeyFile) -> SealedSecret:
    """What a broker with this file leaves in its database."""
    return await (await load_sealer(file, frozenset())).seal(SECRET, HERE)


async def fault_of(file: KeyFile, *existing: str) -> str:
    """Why the sealer is closed; nothing was written to find out."""
    before = file.path.read_bytes() if file.path.exists() else None
    sealer = await load_sealer(file, frozenset(existing))
    assert (file.path.read_bytes() if file.path.exists() else None) == before
    assert sealer.fault.startswith(f"{file.path} ")
    with pytest.raises(SealClosedError) as caught:
        await sealer.seal(SECRET, HERE)
    assert str(caught.value) == sealer.fault
    return sealer.fault


async def test_the_first_start_makes_a_key_and_later_ones_open_what_it_sealed(
    file: KeyFile,
) -> None:
    sealed = await sealed_with(file)
    restarted = await load_sealer(file, frozenset({sealed.sealed_by}))
    assert restarted.fault == ""
    assert await restarted.open(sealed, HERE) == SECRET


async def test_a_missing_file_over_existing_ciphertext_is_never_made_anew(file: KeyFile) -> None:
    sealed = await sealed_with(file)
    file.path.unlink()
    fault = await fault_of(file, sealed.sealed_by)
    assert f"is missing, and key {sealed.sealed_by} sealed what is kept" in fault
    assert "put the file back from a backup; no restart is needed" in fault
    assert "'keybroker seal drop'" in fault
    assert not file.path.exists()


async def test_a_file_that_was_put_back_opens_everything_again(file: KeyFile) -> None:
    sealed = await sealed_with(file)
    backup = file.path.rename(file.path.with_name("backup"))
    await fault_of(file, sealed.sealed_by)
    backup.rename(file.path)
    restarted = await load_sealer(file, frozenset({sealed.sealed_by}))
    assert await restarted.open(sealed, HERE) == SECRET


async def test_a_wrong_file_seals_nothing(file: KeyFile) -> None:
    ours = (await sealed_with(file)).sealed_by
    fault = await fault_of(file, STRANGER)
    assert f"holds key {ours}, but key {STRANGER} sealed what is kept: put the right" in fault


async def test_a_file_that_opens_some_of_what_is_kept_serves_that(file: KeyFile) -> None:
    sealed = await sealed_with(file)
    sealer = await load_sealer(file, frozenset({sealed.sealed_by, STRANGER}))
    assert await sealer.open(sealed, HERE) == SECRET
    with pytest.raises(SealBrokenError):
        await sealer.open(SealedSecret(STRANGER, sealed.wrapped_key, sealed.ciphertext), HERE)


async def test_an_older_key_in_the_file_still_opens_what_it_sealed(file: KeyFile) -> None:
    old = await sealed_with(file)
    line = file.path.read_text()
    file.path.unlink()
    new = await sealed_with(file)
    file.path.write_text(file.path.read_text() + line)
    sealer = await load_sealer(file, frozenset({old.sealed_by}))
    assert await sealer.open(old, HERE) == SECRET
    assert (await sealer.seal(SECRET, HERE)).sealed_by == new.sealed_by


@pytest.mark.parametrize("has_ciphertext", [True, False])
async def test_a_damaged_file_stays_as_it_is(file: KeyFile, *, has_ciphertext: bool) -> None:
    sealed = await sealed_with(file)
    file.path.write_text(file.path.read_text()[:40])
    existing = [sealed.sealed_by] if has_ciphertext else []
    assert "is damaged: put it back from a backup" in await fault_of(file, *existing)


async def test_a_file_that_others_can_read_seals_nothing(file: KeyFile) -> None:
    sealed = await sealed_with(file)
    file.path.chmod(0o644)
    assert "run chmod 600" in await fault_of(file, sealed.sealed_by)


async def test_a_place_where_no_file_can_be_made_leaves_the_sealer_closed(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    sealer = await load_sealer(KeyFile(tmp_path / "data" / "seal.key", Purpose.SEAL), frozenset())
    assert "Not a directory" in sealer.fault


async def test_names_of_keys_from_the_database_are_not_shown_unless_they_are_names(
    file: KeyFile,
) -> None:
    assert "another key sealed" in await fault_of(file, "\x1b[31mhostile\n")
    many = [f"{number:016x}" for number in range(9)]
    assert "9 other keys sealed" in await fault_of(file, *many)
    assert f"key {many[0]} or {many[1]} sealed" in await fault_of(file, *many[:2])


async def test_no_fault_and_no_name_shows_the_key(file: KeyFile) -> None:
    await sealed_with(file)
    line = file.path.read_text()
    key = line.split()[1]
    faults = [await fault_of(file, STRANGER)]
    file.path.write_text(line[:-2])
    faults.append(await fault_of(file))
    assert not any(key[:16] in fault for fault in faults)
    assert AesKeyWrapper(bytes.fromhex(key)).key_id not in key
