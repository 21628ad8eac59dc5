"""Every rule of the catalogue recognises its own examples."""

import pytest

from broker.catalog.loader import catalog_texts, load_catalog, parse_files
from broker.catalog.schema import Example
from broker.core.outcome import Outcome
from broker.core.verdicts.classifier import classify
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Kind

CATALOG = load_catalog()
FILES, _ = parse_files(catalog_texts())


def speakers(file: str) -> list[str]:
    """The dialects that use the rules of a file: itself, or a child of an abstract one."""
    return [file] if file in CATALOG else ["openai_compatible", "anthropic", "gemini"]


EXAMPLES = [
    pytest.param(CATALOG[name], f"{file}:{rule.name}", example, id=f"{name}:{rule.name}:{number}")
    for file, content in FILES.items()
    for name in speakers(file)
    for rule in content.rules
    for number, example in enumerate(rule.examples)
]


def outcome_of(example: Example) -> Outcome:
    return Outcome(example.status, example.headers, example.body.encode())


@pytest.mark.parametrize(("dialect", "rule", "example"), EXAMPLES)
def test_an_example_is_recognised_by_its_rule_and_carries_its_hint(
    dialect: Dialect, rule: str, example: Example
) -> None:
    verdict = classify(dialect, outcome_of(example))
    assert verdict.rule == rule
    assert verdict.retry_hint_s == example.retry_hint_s


@pytest.mark.parametrize("name", CATALOG)
def test_every_dialect_says_where_a_human_finds_keys_and_status(name: str) -> None:
    dialect = CATALOG[name]
    if name == "openai_compatible":
        assert not dialect.base_url
        return
    assert dialect.base_url.startswith("https://")
    assert dialect.help_url.startswith("https://")
    assert dialect.status_url.startswith("https://")
    assert dialect.probe is not None
    assert dialect.probe.authenticates


def test_every_kind_that_a_provider_can_answer_with_is_known_to_some_rule() -> None:
    by_status_or_transport = {Kind.OK, Kind.UNREACHABLE, Kind.CANCELLED, Kind.UNKNOWN}
    kinds = {rule.kind for dialect in CATALOG.values() for rule in dialect.rules}
    assert kinds == set(Kind) - by_status_or_transport
