"""One word for one thing: no two vocabularies disagree about a word."""

from enum import StrEnum

import pytest

from broker.core import words

VOCABULARIES = [
    value
    for value in vars(words).values()
    if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum
]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_a_word_is_written_as_it_is_named(vocabulary: type[StrEnum]) -> None:
    for member in vocabulary:
        assert member.value in {member.name, member.name.lower()}


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_each_vocabulary_says_what_it_is_for(vocabulary: type[StrEnum]) -> None:
    assert vocabulary.__doc__
