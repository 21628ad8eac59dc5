"""Real answers, judged by hand, that live outside the repository: see KEYBROKER_CORPUS.

Rows whose label seems wrong are in judged_wrong.toml beside this, with the reason; they count.
"""

import json
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from broker.catalog import load_catalog
from broker.core.outcome import Outcome
from broker.core.verdict import PROVIDER_FAULTS, Verdict
from broker.core.verdicts.classifier import classify
from broker.core.words import Kind, TransportError

Row: TypeAlias = Mapping[str, object]

CATALOG = load_catalog()
PLAIN = CATALOG["openai_compatible"]
"""Judges the answers of providers that have no file."""

MIN_KINDS = 0.98
MIN_SCOPES = 0.95
MIN_HINTS = 0.95
MAX_FALSE_HINTS = 0.02
MAX_HINT_ERROR_S = 1.0

SCOPES = {"account": "key", "account_model": "key_model"}
COSTLY = frozenset({Kind.INVALID_CREDENTIAL, Kind.QUOTA_EXHAUSTED})
INNOCENT = frozenset({"INVALID_REQUEST", "CONTENT_POLICY", "RATE_LIMITED"})


class Judged(NamedTuple):
    """A row, and the verdict on it."""

    row: Row
    verdict: Verdict

    @property
    def is_kind_right(self) -> bool:
        faults = {str(kind) for kind in PROVIDER_FAULTS}
        wanted, found = str(self.row["kind"]), str(self.verdict.kind)
        return wanted == found or {wanted, found} <= faults

    @property
    def is_scope_right(self) -> bool:
        return SCOPES.get(self.verdict.scope, self.verdict.scope) == self.row["scope"]

    @property
    def has_hint(self) -> bool:
        return self.row["retry_after_s"] is not None

    @property
    def is_hint_right(self) -> bool:
        hint, wait = self.row["retry_after_s"], self.verdict.retry_hint_s
        if isinstance(hint, int | float) and wait is not None:
            return abs(hint - wait) <= MAX_HINT_ERROR_S
        return hint is wait


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    path = os.environ.get("KEYBROKER_CORPUS")
    if not path:
        if os.environ.get("CI") == "true":
            pytest.fail("KEYBROKER_CORPUS is not set")
        pytest.skip("KEYBROKER_CORPUS is not set")
    with Path(path).open(encoding="utf-8") as file:
        rows: list[Row] = [json.loads(line) for line in file if line.strip()]
    return [Judged(row, verdict_on(row)) for row in rows]


def verdict_on(row: Row) -> Verdict:
    dialect = CATALOG.get(str(row["provider"]), PLAIN)
    status, headers = row["http_status"], row["headers"]
    assert status is None or isinstance(status, int)
    assert isinstance(headers, dict)
    # The corpus names a client's exception; which one says no more than that there was one.
    transport = TransportError.OTHER if row["transport_error"] else None
    body = str(row["body"]).encode()
    return classify(dialect, Outcome(status, headers, body, transport_error=transport))


def show(title: str, seen: Counter[str], wrong: Counter[str]) -> None:
    print(f"\n{title}")  # noqa: T201 - the figures are what this test is run for
    for name, count in sorted(seen.items()):
        print(f"  {name:24} {count - wrong[name]:4} of {count:4}")  # noqa: T201


def test_the_verdicts_on_real_answers_are_right(judged: list[Judged]) -> None:
    for title in ("provider", "kind"):
        seen = Counter(str(one.row[title]) for one in judged)
        show(title, seen, Counter(str(o.row[title]) for o in judged if not o.is_kind_right))
    wrong = [o for o in judged if not (o.is_kind_right and o.is_scope_right and o.is_hint_right)]
    for row, verdict in wrong:
        found = (str(verdict.kind), str(verdict.scope), verdict.retry_hint_s)
        wanted = (row["kind"], row["scope"], row["retry_after_s"])
        print(f"  {row['id']}: {wanted}, but {verdict.rule} says {found}")  # noqa: T201
    assert sum(one.is_kind_right for one in judged) >= MIN_KINDS * len(judged)
    assert sum(one.is_scope_right for one in judged) >= MIN_SCOPES * len(judged)


def test_hints_are_found_where_they_are_and_nowhere_else(judged: list[Judged]) -> None:
    hinted = [one for one in judged if one.has_hint]
    others = [one for one in judged if not one.has_hint]
    assert sum(one.is_hint_right for one in hinted) >= MIN_HINTS * len(hinted)
    assert sum(not one.is_hint_right for one in others) <= MAX_FALSE_HINTS * len(others)


def test_no_innocent_answer_costs_a_tenant_its_key(judged: list[Judged]) -> None:
    for row, verdict in judged:
        if row["kind"] in INNOCENT:
            assert verdict.kind not in COSTLY, (row["id"], verdict.rule)


def test_every_row_that_is_called_wrong_is_in_the_corpus_with_a_reason(
    judged: list[Judged],
) -> None:
    doubts = tomllib.loads(Path(__file__).with_name("judged_wrong.toml").read_text("utf-8"))
    assert doubts.keys() <= {str(one.row["id"]) for one in judged}
    assert all(isinstance(reason, str) and reason for reason in doubts.values())
