"""What every sealer that is not closed promises."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.adapters.seal import AesSealer
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import SealBrokenError
from broker.ports.sealer import Sealer
from tests.contract.adapters import SEALERS

SECRET = Secret("sk-canary-0123456789")
HERE = Binding("acme", "openai", "acme/1", "0123456789abcdef")

names = st.text(max_size=8)
bindings = st.builds(Binding, names, names, names, names)


@pytest.fixture(params=SEALERS)
def sealer(request: pytest.FixtureRequest) -> Sealer:
    return SEALERS[request.param]()


def flipped(data: bytes, bit: int) -> bytes:
    number = int.from_bytes(data) ^ (1 << bit)
    return number.to_bytes(len(data))


def with_bytes(sealed: SealedSecret, field: str, data: bytes) -> SealedSecret:
    if field == "wrapped_key":
        return replace(sealed, wrapped_key=data)
    return replace(sealed, ciphertext=data)


async def assert_broken(sealer: Sealer, sealed: SealedSecret, binding: Binding = HERE) -> None:
    with pytest.raises(SealBrokenError) as caught:
        await sealer.open(sealed, binding)
    assert SECRET.reveal() not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_sealer_that_works_has_no_fault(sealer: Sealer) -> None:
    assert sealer.fault == ""


@pytest.mark.parametrize("name", SEALERS)
@settings(deadline=None)
@given(plaintext=st.text(), binding=bindings)
def test_a_sealed_secret_opens_to_what_it_was(name: str, plaintext: str, binding: Binding) -> None:
    sealer = SEALERS[name]()

    async def there_and_back() -> Secret:
        return await sealer.open(await sealer.seal(Secret(plaintext), binding), binding)

    assert asyncio.run(there_and_back()).reveal() == plaintext


async def test_two_seals_of_one_secret_have_nothing_in_common(sealer: Sealer) -> None:
    one, two = [await sealer.seal(SECRET, HERE) for _ in range(2)]
    assert one.wrapped_key != two.wrapped_key
    assert one.ciphertext != two.ciphertext
    assert one.wrapped_key[:12] != two.wrapped_key[:12]
    assert one.ciphertext[:12] != two.ciphertext[:12]
    await assert_broken(sealer, replace(one, wrapped_key=two.wrapped_key))
    await assert_broken(sealer, replace(one, ciphertext=two.ciphertext))


async def test_what_is_sealed_does_not_show_the_secret(sealer: Sealer) -> None:
    sealed = await sealer.seal(SECRET, HERE)
    assert SECRET.reveal().encode() not in sealed.wrapped_key + sealed.ciphertext
    assert SECRET.reveal() not in repr(sealed) + repr(sealer)


@pytest.mark.parametrize("name", SEALERS)
async def test_what_a_sealer_of_the_same_key_sealed_before_a_restart_opens(name: str) -> None:
    sealed = await SEALERS[name]().seal(SECRET, HERE)
    assert await SEALERS[name]().open(sealed, HERE) == SECRET


@pytest.mark.parametrize("field", ["tenant", "provider", "key_id", "revision"])
@pytest.mark.parametrize("moved_to", ["", "x", "acme", "openai\0"])
async def test_a_secret_that_was_moved_does_not_open(
    sealer: Sealer, field: str, moved_to: str
) -> None:
    here = replace(HERE, **{field: "where it was"})
    sealed = await sealer.seal(SECRET, here)
    await assert_broken(sealer, sealed, replace(here, **{field: moved_to}))


@pytest.mark.parametrize("name", SEALERS)
@settings(deadline=None)
@given(here=bindings, there=bindings)
def test_a_secret_opens_in_one_place_only(name: str, here: Binding, there: Binding) -> None:
    sealer = SEALERS[name]()

    async def move() -> None:
        sealed = await sealer.seal(SECRET, here)
        if there != here:
            await assert_broken(sealer, sealed, there)

    asyncio.run(move())


async def test_no_letter_may_change_its_field(sealer: Sealer) -> None:
    sealed = await sealer.seal(SECRET, Binding("acme", "openai", "k", "r"))
    for binding in (Binding("acm", "eopenai", "k", "r"), Binding("acme", "openaik", "", "r")):
        await assert_broken(sealer, sealed, binding)


@pytest.mark.parametrize("field", ["wrapped_key", "ciphertext"])
async def test_no_bit_may_flip(sealer: Sealer, field: str) -> None:
    sealed = await sealer.seal(SECRET, HERE)
    data: bytes = getattr(sealed, field)
    for bit in range(8 * len(data)):
        await assert_broken(sealer, with_bytes(sealed, field, flipped(data, bit)))


async def test_no_bit_of_the_sealing_keys_name_may_flip(sealer: Sealer) -> None:
    sealed = await sealer.seal(SECRET, HERE)
    name = sealed.sealed_by.encode()
    for bit in range(8 * len(name)):
        other = flipped(name, bit).decode("latin-1")
        await assert_broken(sealer, replace(sealed, sealed_by=other))


@pytest.mark.parametrize("field", ["wrapped_key", "ciphertext"])
async def test_nothing_may_be_cut_off_or_added(sealer: Sealer, field: str) -> None:
    sealed = await sealer.seal(SECRET, HERE)
    data: bytes = getattr(sealed, field)
    for length in range(len(data)):
        await assert_broken(sealer, with_bytes(sealed, field, data[:length]))
    for other in (data + b"\0", b"\0" + data, data + data):
        await assert_broken(sealer, with_bytes(sealed, field, other))


async def test_the_two_layers_cannot_stand_in_for_each_other(sealer: Sealer) -> None:
    sealed = await sealer.seal(Secret("x" * 32), HERE)
    swapped = SealedSecret(sealed.sealed_by, sealed.ciphertext, sealed.wrapped_key)
    await assert_broken(sealer, swapped)


async def test_what_another_key_sealed_does_not_open(sealer: Sealer) -> None:
    stranger = AesSealer.of_keys(b"\1" * 32)
    sealed = await stranger.seal(SECRET, HERE)
    await assert_broken(sealer, sealed)
    ours = (await sealer.seal(SECRET, HERE)).sealed_by
    await assert_broken(sealer, replace(sealed, sealed_by=ours))
