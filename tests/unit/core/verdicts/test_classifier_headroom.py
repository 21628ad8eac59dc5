"""What is left of the limits, as success answers tell it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.verdicts.classifier import headroom
from broker.core.verdicts.dialect import Dialect, ErrorSites, LimitHeaders

DIALECT = Dialect(
    "d",
    "D",
    "https://d.test",
    errors=ErrorSites(fields={}, message=()),
    rules=(),
    limits=(LimitHeaders("limit-a", "left-a"), LimitHeaders("limit-b", "left-b")),
)


@pytest.mark.parametrize(
    ("headers", "share"),
    [
        ({}, None),
        ({"limit-a": "500", "left-a": "100"}, 0.2),
        ({"limit-a": "500", "left-a": "100", "limit-b": "10", "left-b": "1"}, 0.1),
        ({"limit-a": "500", "left-a": "100", "limit-b": "10", "left-b": "9"}, 0.2),
        ({"limit-a": "100", "left-a": "199"}, 1.0),
        ({"limit-a": " 33333.5 ", "left-a": "0"}, 0.0),
        ({"left-a": "100"}, None),
        ({"limit-a": "0", "left-a": "0"}, None),
        ({"limit-a": "-5", "left-a": "1"}, None),
        ({"limit-a": "NaN", "left-a": "1"}, None),
    ],
)
def test_the_smallest_known_share_counts(headers: dict[str, str], share: float | None) -> None:
    assert headroom(DIALECT, headers) == share


@given(st.dictionaries(st.sampled_from(["limit-a", "left-a", "limit-b", "left-b"]), st.text()))
def test_no_header_breaks_it_or_leads_out_of_bounds(headers: dict[str, str]) -> None:
    share = headroom(DIALECT, headers)
    assert share is None or 0.0 <= share <= 1.0
