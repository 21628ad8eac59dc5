"""A body may be cut anywhere: less is known then, and never something worse."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.catalog import load_catalog
from broker.catalog.loader import catalog_texts, parse_files
from broker.catalog.schema import Example
from broker.core.outcome import Outcome
from broker.core.verdict import Verdict
from broker.core.verdicts.classifier import classify
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Evidence, Kind, ScopeKind

CATALOG = load_catalog()
FILES, _ = parse_files(catalog_texts())
EXAMPLES = [
    pytest.param(CATALOG[file], example, id=f"{file}:{rule.name}:{number}")
    for file, content in FILES.items()
    if file in CATALOG
    for rule in content.rules
    for number, example in enumerate(rule.examples)
]
SHARED = frozenset({ScopeKind.KEY, ScopeKind.ACCOUNT, ScopeKind.ACCOUNT_MODEL})
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "status", "details", "reason"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def judge(dialect: Dialect, example: Example, body: bytes, *, is_cut: bool) -> Verdict:
    return classify(dialect, Outcome(example.status, example.headers, body, truncated=is_cut))


@pytest.mark.parametrize(("dialect", "example"), EXAMPLES)
def test_a_cut_never_makes_another_verdict_on_a_key_certain(
    dialect: Dialect, example: Example
) -> None:
    whole = example.body.encode()
    kind = judge(dialect, example, whole, is_cut=False).kind
    for end in range(len(whole)):
        verdict = judge(dialect, example, whole[:end], is_cut=True)
        if verdict.scope in SHARED and verdict.evidence is Evidence.CERTAIN:
            assert verdict.kind is kind, whole[:end]


@pytest.mark.parametrize("dialect", CATALOG.values(), ids=CATALOG)
@given(
    status=st.none() | st.sampled_from([200, 400, 401, 403, 429, 500]) | st.integers(),
    value=VALUE,
    end=st.none() | st.integers(0, 60),
)
def test_no_json_breaks_any_dialect(
    dialect: Dialect, status: int | None, value: object, end: int | None
) -> None:
    body = json.dumps(value).encode()[:end]
    assert classify(dialect, Outcome(status, {}, body, truncated=end is not None)).kind in Kind
