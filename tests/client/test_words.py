"""The words of the client are the words of the API."""

from enum import StrEnum
from typing import Any

import pytest

from keybroker import words
from keybroker.v1 import denial_pb2, key_pb2, lease_pb2, outcome_pb2, verdict_pb2
from keybroker.words import read_word, write_word

PAIRS = [
    (words.Provenance, key_pb2.Provenance),
    (words.DenialReason, denial_pb2.DenialReason),
    (words.DenialAction, denial_pb2.DenialAction),
    (words.TransportError, outcome_pb2.TransportError),
    (words.Phase, outcome_pb2.Phase),
    (words.VerdictKind, verdict_pb2.VerdictKind),
    (words.AdviceAction, verdict_pb2.AdviceAction),
    (words.LeaseState, lease_pb2.LeaseState),
    (words.DeathCause, lease_pb2.DeathCause),
]


@pytest.mark.parametrize(("enum", "proto"), PAIRS, ids=[pair[0].__name__ for pair in PAIRS])
def test_every_value_of_the_api_has_its_word(enum: type[StrEnum], proto: Any) -> None:
    numbers = list(proto.DESCRIPTOR.values_by_number)
    read = [read_word(enum, proto, number) for number in numbers]
    assert read == list(enum)
    assert [write_word(word, proto) for word in read] == numbers


def test_a_number_that_only_a_newer_broker_knows_is_unspecified() -> None:
    found = read_word(words.DenialReason, denial_pb2.DenialReason, 999)
    assert found is words.DenialReason.UNSPECIFIED
