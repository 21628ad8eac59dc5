"""The file in docs/adding-a-provider.md is one that works: a provider is a file, and no code."""

import re

import pytest

from broker.catalog import CatalogError, read_catalog
from broker.catalog.loader import catalog_texts, parse_files
from broker.core.outcome import Outcome
from broker.core.verdicts.classifier import classify, headroom
from broker.core.words import Evidence, Kind, QuotaWindow, ScopeKind
from tests.documentation import ROOT

GUIDE = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
(ACME,) = re.findall(r"<!-- file: acme -->\n```toml\n(.*?)```", GUIDE, re.DOTALL)
DIALECT = read_catalog({**catalog_texts(), "acme": ACME})["acme"]


def test_every_example_of_the_new_file_is_recognised() -> None:
    files, faults = parse_files({"acme": ACME})
    assert not faults
    for rule in files["acme"].rules:
        for example in rule.examples:
            answer = Outcome(example.status, example.headers, example.body.encode())
            verdict = classify(DIALECT, answer)
            assert verdict.rule == f"acme:{rule.name}"
            assert verdict.retry_hint_s == example.retry_hint_s


def test_what_its_file_says_is_what_the_broker_does() -> None:
    assert (DIALECT.key_travel.header_name, DIALECT.key_travel.header_prefix) == ("X-Acme-Key", "")
    verdict = classify(DIALECT, Outcome(429, {"x-acme-error": "daily_limit", "retry-after": "31"}))
    assert (verdict.kind, verdict.scope) == (Kind.QUOTA_EXHAUSTED, ScopeKind.ACCOUNT_MODEL)
    assert (verdict.quota_window, verdict.retry_hint_s) == (QuotaWindow.DAY, 31.0)
    in_stream = b'data: {"fault": {"causes": [{"code": "key_unknown"}]}}'
    assert classify(DIALECT, Outcome(200, {}, in_stream)).evidence is Evidence.CERTAIN
    inherited = classify(DIALECT, Outcome(401, {}, b'{"fault": {"text": "Invalid API key"}}'))
    assert inherited.rule == "common:bad-key-in-words"
    assert headroom(DIALECT, {"x-acme-limit": "10", "x-acme-left": "1"}) == 0.1


def test_its_day_ends_at_its_own_hour_and_place() -> None:
    half_past_four_utc_in_winter = 1_768_105_800.0  # in Berlin it is half past five
    assert DIALECT.window_end_s(QuotaWindow.DAY, half_past_four_utc_in_winter) == 1_800.0


def test_all_that_is_wrong_with_a_new_file_is_told_at_once_with_its_place() -> None:
    broken = (
        ACME.replace('kind = "PERMISSION_DENIED"', 'kind = "FORBIDDEN"')
        .replace('prefix = ""', "prefix = 7")
        .replace("hour = 6", "hour = 25")
        .replace("quota_window", "quota_windov")
    )
    with pytest.raises(CatalogError) as raised:
        read_catalog({**catalog_texts(), "acme": broken})
    places = [fault.split(": ")[1] for fault in raised.value.faults]
    assert places == ["key.prefix", "resets.hour", "rules.1.quota_windov", "rules.2.kind"]
