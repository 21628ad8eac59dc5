"""Real answers, judged by hand, that live outside the repository: see KEYBROKER_CORPUS."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from broker.catalog import load_catalog
from broker.core.outcome import Outcome
from broker.core.verdict import PROVIDER_FAULTS, Verdict
from broker.core.verdicts.classifier import classify
from broker.core.words import Kind, TransportError

Row: TypeAlias = Mapping[str, object]

CATALOG = load_catalog()

MIN_ACCURACY = 0.95
MAX_HINT_ERROR_S = 1.0
DIALECTS = {"generic": "openai_compatible"}
"""The corpus names providers; where the dialect is named otherwise, this tells."""

SCOPES = {"account": "key", "account_model": "key_model"}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    path = os.environ.get("KEYBROKER_CORPUS")
    if not path:
        if os.environ.get("CI") == "true":
            pytest.fail("KEYBROKER_CORPUS is not set")
        pytest.skip("KEYBROKER_CORPUS is not set")
    with Path(path).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def verdict_on(row: Row) -> Verdict | None:
    """The verdict on a row; None for a provider without a dialect."""
    provider = str(row["provider"])
    dialect = CATALOG.get(DIALECTS.get(provider, provider))
    if dialect is None:
        return None
    status, headers = row["http_status"], row["headers"]
    assert status is None or isinstance(status, int)
    assert isinstance(headers, dict)
    # The corpus names a client's exception; which one says no more than that there was one.
    transport = TransportError.OTHER if row["transport_error"] else None
    body = str(row["body"]).encode()
    return classify(dialect, Outcome(status, headers, body, transport_error=transport))


def misses(row: Row, verdict: Verdict) -> set[str]:
    """Which of kind, scope and hint the verdict gets wrong."""
    faults = {str(kind) for kind in PROVIDER_FAULTS}
    wanted, found = str(row["kind"]), str(verdict.kind)
    hint, wait = row["retry_after_s"], verdict.retry_hint_s
    is_near = hint is wait
    if isinstance(hint, int | float) and wait is not None:
        is_near = abs(hint - wait) <= MAX_HINT_ERROR_S
    is_right = {
        "kind": wanted == found or {wanted, found} <= faults,
        "scope": SCOPES.get(verdict.scope, verdict.scope) == row["scope"],
        "hint": is_near,
    }
    return {name for name, right in is_right.items() if not right}


def report(title: str, seen: Counter[str], wrong: Counter[str]) -> None:
    print(f"\n{title}")  # noqa: T201 - the figures are what this test is run for
    for name, count in sorted(seen.items()):
        print(f"  {name:24} {count - wrong[name]:4} of {count:4}")  # noqa: T201


def test_the_verdicts_on_real_answers_are_right(rows: list[Row]) -> None:
    judged = [(row, verdict) for row in rows if (verdict := verdict_on(row)) is not None]
    missed = [(row, verdict, misses(row, verdict)) for row, verdict in judged]
    for title in ("provider", "kind"):
        seen = Counter(str(row[title]) for row, _ in judged)
        report(title, seen, Counter(str(row[title]) for row, _, miss in missed if "kind" in miss))
    report(
        "measure",
        Counter({name: len(judged) for name in ("kind", "scope", "hint")}),
        Counter(name for _, _, miss in missed for name in miss),
    )
    for row, verdict, miss in missed:
        if miss:
            print(f"  {row['id']}: {sorted(miss)} wrong by {verdict.rule}")  # noqa: T201
    for name in ("kind", "scope", "hint"):
        right = sum(name not in miss for _, _, miss in missed)
        assert right >= MIN_ACCURACY * len(judged), name


def test_no_innocent_answer_costs_a_tenant_its_key(rows: list[Row]) -> None:
    costly = {Kind.INVALID_CREDENTIAL, Kind.QUOTA_EXHAUSTED}
    innocent = {"INVALID_REQUEST", "CONTENT_POLICY", "RATE_LIMITED"}
    for row in rows:
        verdict = verdict_on(row)
        if verdict is not None and row["kind"] in innocent:
            assert verdict.kind not in costly, (row["id"], verdict.rule)
