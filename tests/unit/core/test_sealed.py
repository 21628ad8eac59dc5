"""What binds a sealed secret to its place."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from broker.core.sealed import Binding, SealedSecret

PLACES = st.builds(Binding, *[st.text(max_size=6)] * len(fields(Binding)))


@given(PLACES, PLACES)
def test_two_places_never_share_their_authenticated_data(one: Binding, other: Binding) -> None:
    assert (one.aad() == other.aad()) is (one == other)


def test_parts_that_join_to_the_same_text_are_told_apart() -> None:
    assert Binding("ab", "c", "k", "r").aad() != Binding("a", "bc", "k", "r").aad()


def test_a_sealed_secret_does_not_fill_a_log() -> None:
    sealed = SealedSecret("3f", b"wrapped" * 100, b"ciphertext" * 100)
    assert repr(sealed) == "SealedSecret(sealed_by='3f')"
