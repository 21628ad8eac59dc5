"""Facts are values: made by keyword, never changed, equal when they say the same."""

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from broker.core.facts import (
    CIRCUIT_FACTS,
    Fact,
    FactBase,
    IncidentChanged,
    MarkAnnounced,
    RevisionAdopted,
)
from broker.core.facts import UpstreamCounted as Counted
from broker.core.words import Family
from tests.unit.core.given import failed

KINDS: tuple[type[FactBase], ...] = get_args(Fact)


@pytest.mark.parametrize("kind", KINDS)
def test_every_fact_carries_an_id_a_provider_and_its_replica(kind: type[FactBase]) -> None:
    names = [item.name for item in fields(kind)]
    assert names[:4] == ["fact_id", "provider", "replica", "lead_s"]
    assert all(item.kw_only for item in fields(kind))


def test_a_fact_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        failed("f", Family.LIMIT).fact_id = "other"  # type: ignore[misc]


def test_equal_facts_are_equal() -> None:
    assert failed("f", Family.LIMIT) == failed("f", Family.LIMIT)
    assert failed("f", Family.LIMIT) != failed("g", Family.LIMIT)


def test_all_facts_move_circuits_but_counts_incidents_and_announcements() -> None:
    announced = {IncidentChanged, MarkAnnounced, RevisionAdopted}
    assert set(KINDS) - set(CIRCUIT_FACTS) == {Counted, *announced}
