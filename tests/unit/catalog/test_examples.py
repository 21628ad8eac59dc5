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
PLAINEST = "openai_compatible"

ONE_BY_DEPLOYMENT = frozenset({PLAINEST, "azure-openai", "bedrock", "cloudflare", "vertex"})
"""Dialects of which every account, region or server has a base URL of its own."""

UNPROVEN = frozenset(
    {
        PLAINEST,
        "bedrock",
        "github-models",
        "huggingface",
        "jina",
        "nvidia-nim",
        "sambanova",
        "vertex",
    }
)
"""Dialects without a free call that proves a key: there is none, or what is free is public."""


def speaker(file: str) -> str:
    """A dialect that uses the rules of a file: itself, or the first heir of an abstract one."""
    if file in CATALOG:
        return file
    heirs = [name for name, content in FILES.items() if content.extends == file]
    return speaker(PLAINEST if PLAINEST in heirs else heirs[0])


EXAMPLES = [
    pytest.param(
        CATALOG[speaker(file)], f"{file}:{rule.name}", example, id=f"{file}:{rule.name}:{number}"
    )
    for file, content in FILES.items()
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
    assert bool(dialect.base_url) is (name not in ONE_BY_DEPLOYMENT)
    assert name == PLAINEST or dialect.help_url.startswith("https://")
    assert name == PLAINEST or dialect.status_url.startswith("https://")
    is_proof = dialect.probe is not None and dialect.probe.authenticates
    assert is_proof is (name not in UNPROVEN)


def test_the_providers_that_the_broker_promises_to_know_have_a_file_each() -> None:
    promised = (
        "openai azure-openai anthropic gemini vertex bedrock groq mistral deepseek xai cohere "
        "together fireworks openrouter perplexity cerebras sambanova replicate huggingface "
        "moonshot zhipu dashscope minimax volcengine siliconflow nvidia-nim github-models "
        "cloudflare elevenlabs deepgram voyage jina openai_compatible"
    )
    assert CATALOG.keys() >= set(promised.split())


def test_every_kind_that_a_provider_can_answer_with_is_known_to_some_rule() -> None:
    by_status_or_transport = {Kind.OK, Kind.UNREACHABLE, Kind.CANCELLED, Kind.UNKNOWN}
    kinds = {rule.kind for dialect in CATALOG.values() for rule in dialect.rules}
    assert kinds == set(Kind) - by_status_or_transport
