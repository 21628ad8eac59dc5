"""Tests of structured values."""

import pytest

from broker.core.verdicts.phrase import Wording
from broker.core.verdicts.rule import Rule, RuleBook, ValueTest
from broker.core.words import Kind, ScopeKind

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


def test_a_lone_star_takes_any_value_but_none() -> None:
    anything = ValueTest.of("reasons", ("*",))
    assert anything.accepts(("violence",))
    assert not anything.accepts(())


def test_a_book_puts_rules_under_the_statuses_they_may_match() -> None:
    words = Wording.of(starts=("Slow down", "Wait"))
    limit = Rule("d:limit", Kind.RATE_LIMITED, ScopeKind.KEY_MODEL, statuses=frozenset({429}))
    always = Rule("d:always", Kind.OVERLOADED, ScopeKind.UPSTREAM, wording=words)
    book = RuleBook.of((limit, always))
    assert book.under(429).rules == (limit, always)
    assert book.under(500).rules == book.under(None).rules == (always,)
    assert book.under(429).openings == ("slow down", "wait")
