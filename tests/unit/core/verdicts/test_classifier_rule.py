"""Tests of structured values."""

import pytest

from broker.core.verdicts.rule import ValueTest

PLAIN = ValueTest.of("code", ("invalid_api_key", "Expired"))
STARRED = ValueTest.of("code", ("word", "head_*", "*_tail", "*middle*"))


@pytest.mark.parametrize(
    ("test", "values", "is_accepted"),
    [
        (PLAIN, ("invalid_api_key",), True),
        (PLAIN, ("other", "expired"), True),
        (PLAIN, ("invalid_api_key_name",), False),
        (PLAIN, (), False),
        (STARRED, ("word",), True),
        (STARRED, ("head_x",), True),
        (STARRED, ("x_tail",), True),
        (STARRED, ("a-middle-z",), True),
        (STARRED, ("words", "x-head_"), False),
    ],
)
def test_a_value_passes_as_a_word_or_by_its_starred_pattern(
    test: ValueTest, values: tuple[str, ...], *, is_accepted: bool
) -> None:
    assert test.accepts(values) is is_accepted


def test_a_test_without_patterns_of_one_sort_lets_nothing_through_by_it() -> None:
    assert not ValueTest.of("code", ("head_*",)).accepts(("x_tail", ""))
