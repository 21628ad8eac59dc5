"""The sealing keys of one broker, as they come, go and fail while it runs."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from broker.adapters.aws import AwsCallError, Trouble
from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesKeyWrapper, AesSealer, SealingKeyring, load_sealer
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import (
    SealClosedError,
    SealKeyMissingError,
    SealUnavailableError,
)
from tests.contract.fake_kms import FakeKms, a_kms_key, refused

HERE = Binding("acme", "openai", "acme/1", "aa")
SECRET = Secret("sk-canary-0123456789")
AWAY = AwsCallError("AWS cannot be reached", Trouble.AWAY)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "seal.key", Purpose.SEAL)


def ids_in(file: KeyFile) -> list[str]:
    return [AesKeyWrapper(key).key_id for key in file.read() or ()]


async def of_others(file: KeyFile | None, sealed_by: Iterable[str] = ()) -> SealingKeyring:
    """The keys of a broker that shares its database: it makes none."""
    return await load_sealer(file, frozenset(sealed_by), may_make=False)


def put(file: KeyFile, text: str) -> None:
    file.path.write_text(text)
    file.path.chmod(0o600)


async def test_a_key_that_was_put_into_the_file_opens_without_a_restart(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset())
    first = keyring.current
    other = KeyFile(file.path.with_name("other.key"), Purpose.SEAL)
    key = other.obtain()[0]
    elsewhere = await AesSealer.of_keys(key).seal(SECRET, HERE)
    with pytest.raises(SealKeyMissingError):
        await keyring.open(elsewhere, HERE)
    before = keyring.generation
    put(file, file.path.read_text() + other.path.read_text())
    await keyring.refresh()
    assert keyring.generation > before
    assert await keyring.open(elsewhere, HERE) == SECRET
    assert (keyring.current, keyring.trouble) == (first, "")
    assert keyring.ids == {first, elsewhere.sealed_by}
    assert keyring.use(elsewhere.sealed_by)
    assert (await keyring.seal(SECRET, HERE)).sealed_by == elsewhere.sealed_by


async def test_a_file_that_goes_names_the_key_that_seals_now(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset())
    first, made = keyring.current, await keyring.make()
    keyring.use(made)
    await keyring.settle(frozenset({first}))
    file.path.unlink()
    await keyring.refresh()
    assert f"key {made}, which seals, with it" in keyring.trouble
    assert first not in keyring.trouble


async def test_a_closed_sealer_opens_when_the_right_file_is_put_back(file: KeyFile) -> None:
    sealed = await (await load_sealer(file, frozenset())).seal(SECRET, HERE)
    right = file.path.read_text()
    put(file, f"keybroker-seal-1 {'ab' * 32}\n")
    keyring = await load_sealer(file, frozenset({sealed.sealed_by}))
    assert "holds key" in keyring.fault
    assert keyring.current == ""
    with pytest.raises(SealClosedError):
        await keyring.open(sealed, HERE)
    put(file, right)
    await keyring.refresh()
    assert (keyring.fault, keyring.current) == ("", sealed.sealed_by)
    assert await keyring.open(sealed, HERE) == SECRET


@pytest.mark.parametrize("becomes", ["garbage", "gone", "another", "open to all", "a folder"])
async def test_keys_at_hand_stay_whatever_becomes_of_the_file(file: KeyFile, becomes: str) -> None:
    keyring = await load_sealer(file, frozenset())
    sealed, text = await keyring.seal(SECRET, HERE), file.path.read_text()
    match becomes:
        case "garbage":
            file.path.write_bytes(b"\xff\x00garbage" * 1000)
        case "another":
            put(file, f"keybroker-seal-1 {'ab' * 32}\n")
        case "open to all":
            file.path.chmod(0o666)
        case _:
            file.path.unlink()
    if becomes == "a folder":
        file.path.mkdir()
    await keyring.refresh()
    assert keyring.trouble.startswith(str(file.path))
    assert keyring.fault == ""
    assert await keyring.open(sealed, HERE) == SECRET
    assert (await keyring.seal(SECRET, HERE)).sealed_by == sealed.sealed_by
    if becomes == "a folder":
        file.path.rmdir()
    put(file, text)
    await keyring.refresh()
    assert keyring.trouble == ""


async def test_a_key_is_made_behind_the_others_and_seals_nothing_yet(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset())
    before = keyring.current
    made = await keyring.make()
    assert ids_in(file) == [before, made]
    assert keyring.current == before
    assert keyring.ids == {before, made}
    await keyring.refresh()
    assert keyring.trouble == ""
    restarted = await load_sealer(file, frozenset({before}))
    assert restarted.current == before


async def test_a_broker_that_shares_its_database_makes_neither_file_nor_key(file: KeyFile) -> None:
    keyring = await of_others(file)
    assert f"make it with 'keybroker seal init {file.path}'" in keyring.fault
    assert not file.path.exists()
    file.obtain()
    await keyring.refresh()
    assert keyring.fault == ""
    with pytest.raises(SealClosedError, match=r"name the key.*give every broker the file"):
        await keyring.make()
    assert len(ids_in(file)) == 1


async def test_nothing_is_sealed_until_the_key_that_was_agreed_on_is_there(file: KeyFile) -> None:
    other = KeyFile(file.path.with_name("other.key"), Purpose.SEAL)
    other.obtain()
    [agreed] = ids_in(other)
    keyring = await load_sealer(file, frozenset())
    sealed = await keyring.seal(SECRET, HERE)
    assert not keyring.use(agreed)
    assert f"key {agreed} seals on this database and is not at hand" in keyring.fault
    with pytest.raises(SealClosedError, match=agreed):
        await keyring.seal(SECRET, HERE)
    assert await keyring.open(sealed, HERE) == SECRET
    put(file, file.path.read_text() + other.path.read_text())
    await keyring.refresh()
    assert (keyring.fault, keyring.current) == ("", agreed)


async def test_a_closed_sealer_makes_a_key_once_nothing_is_kept_any_more(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset({"0" * 16}))
    assert "is missing" in keyring.fault
    await keyring.refresh()
    assert not file.path.exists()
    await keyring.settle(frozenset())
    assert keyring.fault == ""
    assert ids_in(file) == [keyring.current]


async def test_a_key_in_kms_and_one_in_the_file_seal_and_open_beside_each_other(
    file: KeyFile,
) -> None:
    by_file = await (await load_sealer(file, frozenset())).seal(SECRET, HERE)
    kms = a_kms_key()
    keyring = await load_sealer(file, frozenset({by_file.sealed_by}), services=[kms])
    assert keyring.current == by_file.sealed_by
    assert keyring.ids == {by_file.sealed_by, kms.key_id}
    assert keyring.use(kms.key_id)
    by_kms = await keyring.seal(SECRET, HERE)
    assert by_kms.sealed_by == kms.key_id
    for sealed in (by_file, by_kms):
        assert await keyring.open(sealed, HERE) == SECRET
    with pytest.raises(SealClosedError, match="name the key"):
        await keyring.make()


async def test_a_key_in_kms_never_takes_the_place_of_a_file_that_is_missed(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset({"0" * 16}), services=[a_kms_key()])
    assert f"key {'0' * 16} sealed what is kept: put it back as {file.path}" in keyring.fault
    without_file = await load_sealer(None, frozenset({"0" * 16}), services=[a_kms_key()])
    assert "set KEYBROKER_SEAL_KEY_FILE to its file" in without_file.fault
    for each in (keyring, without_file):
        with pytest.raises(SealClosedError):
            await each.seal(SECRET, HERE)


async def test_where_kms_does_not_answer_at_the_start_keys_are_not_lost_and_it_heals() -> None:
    kms = FakeKms()
    sealed = await AesSealer(a_kms_key(kms=kms)).seal(SECRET, HERE)
    kms.trouble = AWAY
    key = a_kms_key(kms=kms)
    keyring = SealingKeyring(None, [key], sealed_by=frozenset({key.key_id}), may_make=False)
    await keyring.refresh()
    await keyring.wait_for_services(1.0)
    assert "AWS cannot be reached" in keyring.fault
    assert keyring.ids == frozenset()
    assert keyring.named == {key.key_id}
    with pytest.raises(SealUnavailableError):
        await keyring.open(sealed, HERE)
    kms.trouble = None
    before = keyring.generation
    assert await keyring.open(sealed, HERE) == SECRET
    await keyring.prove(key.key_id)
    assert keyring.fault == ""
    assert keyring.ids == {key.key_id}
    assert keyring.generation > before


async def test_a_key_in_kms_that_fails_while_running_is_a_fault_until_it_works_again() -> None:
    kms = FakeKms()
    keyring = await load_sealer(None, frozenset(), services=[a_kms_key(kms=kms)])
    sealed = await keyring.seal(SECRET, HERE)
    kms.trouble = refused("DisabledException")
    with pytest.raises(SealUnavailableError):
        await keyring.open(sealed, HERE)
    assert "it is disabled: enable it" in keyring.fault
    kms.trouble = None
    assert await keyring.open(sealed, HERE) == SECRET
    assert keyring.fault == ""


async def test_kms_is_asked_only_now_and_then_while_it_does_not_answer() -> None:
    kms = FakeKms()
    kms.trouble = AWAY
    keyring = SealingKeyring(None, [a_kms_key(kms=kms)], may_make=False)
    for _ in range(20):
        await keyring.refresh()
        await keyring.wait_for_services(1.0)
    assert kms.calls == {"encrypt": 1}


async def test_what_wraps_differently_than_it_unwraps_is_not_at_hand() -> None:
    kms = FakeKms()
    good = kms.call

    async def forgetful(*given: object, **named: object) -> dict[str, object]:
        answer = await good(*given, **named)  # type: ignore[arg-type]
        return {name: bytes(32) if name == "Plaintext" else value for name, value in answer.items()}

    kms.call = forgetful  # type: ignore[method-assign]
    keyring = await load_sealer(None, frozenset(), services=[a_kms_key(kms=kms)])
    assert keyring.ids == frozenset()
    assert "does not unwrap what it wrapped" in keyring.fault
    with pytest.raises(SealUnavailableError, match="does not unwrap what it wrapped"):
        await keyring.prove(keyring.current)


async def test_without_file_and_service_it_says_what_to_set() -> None:
    keyring = await of_others(None)
    assert keyring.fault.startswith("there is no sealing key: set KEYBROKER_SEAL_KEY_FILE or")


async def test_many_refreshes_at_once_do_no_harm(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset())
    await asyncio.gather(*(keyring.refresh() for _ in range(10)), keyring.make())
    assert len(keyring.ids) == 2
    assert keyring.trouble == ""


async def test_no_text_shows_a_key(file: KeyFile) -> None:
    keyring = await load_sealer(file, frozenset())
    key = file.path.read_text().split()[1]
    sealed = SealedSecret("x" * 16, b"", b"")
    with pytest.raises(SealKeyMissingError) as caught:
        await keyring.open(sealed, HERE)
    file.path.write_text("garbage")
    await keyring.refresh()
    for text in (str(caught.value), keyring.trouble, repr(keyring), *keyring.ids):
        assert key[:16] not in text
