"""Which sealing keys seal and open, and what their names say."""

import pytest

from broker.adapters.seal import AesKeyWrapper, AesSealer, ClosedSealer
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import SealBrokenError, SealClosedError

HERE = Binding("acme", "openai", "acme/1", "aa")
SECRET = Secret("sk-canary-0123456789")
OLD, NEW = b"\1" * 32, b"\2" * 32


async def test_the_first_key_seals_and_all_of_them_open() -> None:
    old = await AesSealer.of_keys(OLD).seal(SECRET, HERE)
    rotated = AesSealer.of_keys(NEW, OLD)
    new = await rotated.seal(SECRET, HERE)
    assert new.sealed_by == AesKeyWrapper(NEW).key_id
    assert await rotated.open(old, HERE) == await rotated.open(new, HERE) == SECRET


async def test_a_key_that_was_taken_out_opens_nothing() -> None:
    old = await AesSealer.of_keys(OLD).seal(SECRET, HERE)
    with pytest.raises(SealBrokenError):
        await AesSealer.of_keys(NEW).open(old, HERE)


def test_a_key_has_a_name_for_good_that_says_nothing_about_it() -> None:
    name = AesKeyWrapper(OLD).key_id
    assert name == AesKeyWrapper(OLD).key_id != AesKeyWrapper(NEW).key_id
    assert name == "e3b05a3cd57b9463"


async def test_what_was_sealed_once_opens_in_every_later_version() -> None:
    """These bytes were sealed on the day the format was made: changing them strands databases."""
    wrapped_key = (
        "61e5e94e5a2abdee28c0642c9989a869254633c3ea3867395fddf73f"
        "0ee97007b8015dddbf12e95145c256e2954c5402b29fbcfb9c34905cc930df4c"
    )
    ciphertext = (
        "0a6dffed3d0f7fb1580ca6f71e7cd0c9901708df2357de15"
        "8a6a9360c2f96724f7393c86f4ebe45f91c6dc7c4ecfe6f7"
    )
    sealed = SealedSecret("e3b05a3cd57b9463", bytes.fromhex(wrapped_key), bytes.fromhex(ciphertext))
    assert await AesSealer.of_keys(OLD).open(sealed, HERE) == SECRET


async def test_a_closed_sealer_says_what_to_do_whatever_it_is_asked() -> None:
    sealed = await AesSealer.of_keys(OLD).seal(SECRET, HERE)
    closed = ClosedSealer("put the file back")
    assert closed.fault == "put the file back"
    with pytest.raises(SealClosedError, match="put the file back"):
        await closed.seal(SECRET, HERE)
    with pytest.raises(SealClosedError, match="put the file back"):
        await closed.open(sealed, HERE)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_sealing_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        AesKeyWrapper(bytes(length))
