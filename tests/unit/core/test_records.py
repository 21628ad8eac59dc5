"""Records: whatever becomes one comes back, and what is no good says so."""

import json
import math
from contextlib import suppress
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.facts import Fact
from broker.core.records import (
    FACT_TYPES,
    VERSION,
    RecordError,
    fact_of,
    fact_record,
    snapshot_of,
    snapshot_record,
)
from broker.core.snapshot import Snapshot
from broker.core.words import Family
from tests.unit.core.given import failed, trial

FACT = failed("f1", Family.LIMIT)


def through_json(record: object) -> object:
    """As a store would give it back."""
    return json.loads(json.dumps(record))


def is_same(back: object, value: object) -> bool:
    """Equal, unless a NaN is in it, which equals nothing."""
    return back == value or ("nan" in repr(value) and repr(back) == repr(value))


def test_every_fact_there_is_has_a_name_in_records() -> None:
    assert set(FACT_TYPES.values()) == set(get_args(Fact))


@pytest.mark.parametrize("kind", FACT_TYPES.values(), ids=FACT_TYPES)
@given(data=st.data())
def test_a_fact_comes_back_as_it_was(kind: type[Fact], data: st.DataObject) -> None:
    fact: Fact = data.draw(st.from_type(kind))
    assert is_same(fact_of(through_json(fact_record(fact))), fact)


@given(st.from_type(Snapshot))
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    assert is_same(snapshot_of(through_json(snapshot_record(snapshot))), snapshot)


def test_a_field_that_holds_its_default_takes_no_room() -> None:
    assert fact_record(replace(FACT, rule="", model="", reported_by="")) == {
        "v": VERSION,
        "type": "call_failed",
        "fact_id": "f1",
        "provider": "openai",
        "replica": "a",
        "scope": {
            "kind": "key_model",
            "provider": "openai",
            "key_id": "k1",
            "revision": "r1",
            "model": "gpt-4o",
        },
        "family": "limit",
        "kind": "RATE_LIMITED",
        "evidence": "CERTAIN",
    }


def test_a_field_of_a_later_release_is_passed_over() -> None:
    assert fact_of({**fact_record(FACT), "mood": "grim"}) == FACT


def test_an_endless_deadline_comes_back() -> None:
    endless = replace(FACT, hint_s=math.inf)
    assert fact_of(through_json(fact_record(endless))) == endless


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"v": VERSION + 1}, f"its version is {VERSION + 1}, and this one reads {VERSION}"),
        ({"v": None}, f"its version is None, and this one reads {VERSION}"),
        ({"type": "snapshot"}, "its type 'snapshot' is unknown"),
        ({"type": ["call_failed"]}, r"its type \['call_failed'\] is unknown"),
        ({"fact_id": 7}, "it has a int in place of a str"),
        ({"lead_s": "7"}, "it has a str in place of a number"),
        ({"lead_s": 10**400}, "it has a number that is too large"),
        ({"is_trial": 1}, "it has a int in place of a bool"),
        ({"scope": "openai"}, "it has a str in place of a Scope"),
        ({"scope": {"kind": "key"}}, "a Scope has no provider"),
        ({"scope": {"kind": "moon", "provider": "openai"}}, "a Scope holds a word that is unknown"),
        ({"family": "moon"}, "a CallFailed holds a word that is unknown"),
        ({"family": None}, "a CallFailed holds a word that is unknown"),
    ],
)
def test_a_record_that_makes_no_sense_is_told_from_a_fact(
    change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(RecordError, match=complaint):
        fact_of({**fact_record(FACT), **change})


@pytest.mark.parametrize("record", [None, [], "call_failed", 7])
def test_what_is_no_dict_is_no_record(record: object) -> None:
    with pytest.raises(RecordError, match="it is no record"):
        fact_of(record)


def test_a_field_that_must_be_there_is_missed() -> None:
    record = fact_record(trial("f1", Family.QUOTA, passed=True))
    del record["passed"]
    with pytest.raises(RecordError, match="a TrialEnded has no passed"):
        fact_of(record)


def test_a_list_must_be_a_list() -> None:
    record = snapshot_record(Snapshot("openai", 1, 0.0))
    with pytest.raises(RecordError, match="it has a dict in place of a list"):
        snapshot_of({**record, "circuits": {}})


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists), st.data())
def test_a_damaged_record_never_raises_anything_else(damage: object, data: st.DataObject) -> None:
    record = fact_record(FACT)
    field = data.draw(st.sampled_from(sorted(record)))
    with suppress(RecordError):
        fact_of({**record, field: damage})
