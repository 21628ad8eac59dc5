"""A key decides which models it serves, and under which name."""

import pytest

from broker.core.key import KeyLimits
from tests.unit.core.given import make_key


@pytest.mark.parametrize(
    ("models", "asked", "named"),
    [
        ({}, "anything", "anything"),
        ({"gpt-4o": ""}, "gpt-4o", "gpt-4o"),
        ({"gpt-4o": "my-deployment"}, "gpt-4o", "my-deployment"),
        ({"gpt-4o": ""}, "gpt-4o-mini", None),
        ({"gpt-*": ""}, "gpt-4o-mini", "gpt-4o-mini"),
        ({"gpt-*": "one-for-all"}, "gpt-4o", "one-for-all"),
        ({"gpt-*": "any", "gpt-4o": "exact"}, "gpt-4o", "exact"),
        ({"claude-*": "", "gpt-*": "second"}, "gpt-4o", "second"),
        ({"GPT-*": ""}, "gpt-4o", None),
    ],
)
def test_models_are_globs_with_the_providers_own_names(
    models: dict[str, str], asked: str, named: str | None
) -> None:
    assert make_key(models=models).provider_model(asked) == named


def test_a_key_has_no_caps_and_shares_no_bill_unless_told() -> None:
    key = make_key()
    assert key.limits == KeyLimits(0, 0, 0)
    assert (key.account, key.owner, key.base_url) == ("", "", "")


def test_a_key_never_shows_its_secret() -> None:
    assert "sk-k1" not in repr(make_key())
