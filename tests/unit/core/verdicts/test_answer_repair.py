"""JSON that was cut off, or printed by a client."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.verdicts.cuttext import CutText
from broker.core.verdicts.repair import MAX_DEPTH, MAX_VALUES, repair

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "value", "is_sound"),
    [
        ('{"a": {"b": 1}, "c": [1, 2', {"a": {"b": 1}, "c": [1]}, True),
        ('{"a": "cut of', {"a": "cut of"}, True),
        ('{"a": "line\\n', {"a": "line\n"}, True),
        ('{"a": "x\\', {"a": "x"}, True),
        ('{"a": "x\\u00', {"a": "x"}, True),
        ('{"a": 1, "b', {"a": 1}, True),
        ('{"a": 1, "b"', {"a": 1}, True),
        ('{"a": 1, "b":', {"a": 1}, True),
        ('{"a": 42', {}, True),
        ('{"a": tru', {}, True),
        ('{"a": 42}', {"a": 42}, True),
        ('{"a": 1.5, "n": 100000000000000000000000}', {"a": 1.5, "n": 1e23}, True),
        ('{"a": 1} and more', {"a": 1}, False),
        ('{"a": 1, ...}', {"a": 1}, True),
        ('{"a": {"b": 1,…}, "c": 2 … }', {"a": {"b": 1}, "c": 2}, True),
        ('{"a": …}', {}, False),
        ('{"a": 1}...', {"a": 1}, False),
        ("{'a': 'it\\'s \"so\"', 'b': None}", {"a": "it's \"so\"", "b": None}, True),
        ('{"a": 1 "b": 2}', {"a": 1}, False),
        ('{"a" 1}', {}, False),
        ('{"a": word}', {}, False),
        ("{a: 1}", {}, False),
        ('{"a": ?}', {}, False),
        ('["a" "b"]', ["a"], False),
        ('{"a": 1, "a": 2}', {"a": 1}, True),
        ('{"a": "bad \\q escape"}', {"a": "bad \\q escape"}, True),
        ("", None, True),
        ("[", [], True),
        ("[]", [], True),
        ("[[], {}, 7 ]", [[], {}, 7], True),
    ],
)  # fmt: skip
def test_what_stands_before_the_fault_is_kept(text: str, value: object, *, is_sound: bool) -> None:
    assert repair(text) == (value, is_sound)


def test_a_string_without_an_end_says_so() -> None:
    value, _ = repair('{"whole": "x", "cut": "y')
    assert isinstance(value, dict)
    assert not isinstance(value["whole"], CutText)
    assert isinstance(value["cut"], CutText)


def test_depth_and_size_are_bounded() -> None:
    deep, is_sound = repair("[" * 10_000)
    for _ in range(MAX_DEPTH):
        assert isinstance(deep, list)
        deep = deep[0]
    assert (deep, is_sound) == ([], True)
    wide, _ = repair("[" + "1," * 10_000)
    assert isinstance(wide, list)
    assert len(wide) < MAX_VALUES


@given(st.text(alphabet="{}[]\"':,\\u01a \n"))
def test_no_text_breaks_it(text: str) -> None:
    repair(text)


@given(JSON, st.data())
def test_a_cut_is_never_mistaken_for_broken_json(value: object, data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text)))
    assert repair(text[:cut])[1]


@given(st.dictionaries(st.text(), st.text(max_size=5), max_size=4))
def test_whole_json_comes_out_as_it_is(value: dict[str, str]) -> None:
    assert repair(json.dumps(value)) == (value, True)
