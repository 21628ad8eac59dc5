"""A provider is what an operator configured."""

from broker.core.provider import Provider
from tests.unit.core.given import PROBED


def test_a_provider_has_no_models_or_fallbacks_unless_configured() -> None:
    provider = Provider("acme-vllm", PROBED, "https://vllm.acme.test/v1")
    assert (provider.models, provider.fallbacks) == ((), ())
