"""A classification says which rule of which file matched, and what that would do to health."""

import pytest

from broker.catalog import load_catalog
from broker.core.outcome import Outcome
from broker.core.provider import Provider
from broker.core.words import Evidence, Kind, TransportError
from broker.services.classifying import Classifying
from broker.services.errors import DialectUnknownError, ProviderUnknownError
from broker.services.keyring import Keyring

CATALOG = load_catalog()
AZURE = Provider("azure", CATALOG["openai"], "https://azure.test")
BAD_KEY = b'{"error": {"code": "invalid_api_key", "type": "invalid_request_error"}}'


@pytest.fixture(scope="module")
def classifying() -> Classifying:
    return Classifying(Keyring({"azure": AZURE}), CATALOG)


def test_a_rule_that_matched_is_named_with_its_file(classifying: Classifying) -> None:
    classified = classifying.by_dialect("openai", Outcome(http_status=401, body=BAD_KEY))
    assert classified.verdict.kind is Kind.INVALID_CREDENTIAL
    assert classified.verdict.evidence is Evidence.CERTAIN
    assert classified.verdict.rule.startswith(f"{classified.rule_file}:")
    assert f"{classified.rule_file}.toml" in classified.explanation
    assert "Opens the key in family credential for 15 s" in classified.explanation


def test_a_provider_speaks_its_dialect(classifying: Classifying) -> None:
    classified = classifying.by_provider("azure", Outcome(http_status=401, body=BAD_KEY))
    assert classified.dialect == "openai"
    assert classified.verdict.kind is Kind.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome(http_status=503), "The key is innocent. Counts against the upstream"),
        (Outcome(http_status=429), "Opens the key_model in family limit for 5 s"),
        (Outcome(http_status=401), "Opens the key_model in family access for 10 min"),
        (Outcome(http_status=402), "Opens the account (without one, the key) in family quota"),
        (Outcome(http_status=200), "Changes no health."),
        (Outcome(http_status=400), "Changes no health."),
        (Outcome(transport_error=TransportError.RESET), "transport error RESET"),
    ],
)
def test_without_a_rule_the_status_decides_and_the_effect_is_told(
    classifying: Classifying, outcome: Outcome, told: str
) -> None:
    classified = classifying.by_dialect("openai", outcome)
    assert classified.rule_file == ""
    assert "None of the" in classified.explanation
    assert told in classified.explanation


def test_no_explanation_repeats_the_body(classifying: Classifying) -> None:
    outcome = Outcome(http_status=500, body=b"sk-secret", headers={"x-echo": "sk-secret"})
    assert "sk-secret" not in classifying.by_dialect("openai", outcome).explanation


def test_unknown_names_are_faults(classifying: Classifying) -> None:
    with pytest.raises(DialectUnknownError):
        classifying.by_dialect("opnai", Outcome(http_status=200))
    with pytest.raises(ProviderUnknownError):
        classifying.by_provider("opnai", Outcome(http_status=200))
