"""Names of models: who is told of them, and how many are remembered."""

from broker.services.model_names import MAX_LISTINGS, MAX_WORKED_MODELS, ModelNames
from tests.unit.services.answers import PROVIDERS
from tests.unit.services.status_given import a_key


def names() -> ModelNames:
    models = ModelNames(PROVIDERS)
    models.configure("openai", [a_key("m", models={"named": "", "glob-*": ""})])
    return models


def test_what_one_tenant_s_key_lists_is_told_to_nobody_else() -> None:
    models = names()
    models.note_listed("openai", ["ft:acme-secret"], "acme")
    assert "ft:acme-secret" in models.listed("openai", "acme")
    assert "ft:acme-secret" not in models.listed("openai")
    assert "ft:acme-secret" not in models.listed("openai", "rival")
    assert "ft:acme-secret" not in models.offered("openai")


def test_what_worked_with_a_tenant_s_key_is_known_and_is_no_label() -> None:
    models = names()
    models.note_worked("openai", "ft:acme-secret", "acme")
    assert models.is_known("openai", "ft:acme-secret")
    assert "ft:acme-secret" not in models.offered("openai")


def test_what_is_listed_to_the_operator_is_known_before_it_worked() -> None:
    """Else trouble with it would be nobody's but this process's, and gone with it."""
    models = names()
    models.note_listed("openai", ["ft:acme-secret"], "acme")
    models.note_listed("openai", ["o9"])
    assert models.is_known("openai", "o9")
    assert not models.is_known("openai", "ft:acme-secret")


def test_what_works_for_everybody_is_a_label_also_when_a_tenant_used_it_first() -> None:
    models = names()
    models.note_worked("openai", "o9", "acme")
    models.note_worked("openai", "o9")
    models.note_worked("openai", "o9", "acme")
    assert "o9" in models.offered("openai")


def test_a_name_that_worked_is_made_a_label_even_when_no_more_are_remembered() -> None:
    models = names()
    for number in range(MAX_WORKED_MODELS):
        models.note_worked("openai", f"m{number}", "acme")
    models.note_worked("openai", "m0")
    models.note_worked("openai", "one-more")
    assert models.is_known("openai", "m0")
    assert "m0" in models.offered("openai")
    assert not models.is_known("openai", "one-more")


def test_tenants_listings_are_bounded_and_the_operator_s_stays() -> None:
    models = names()
    models.note_listed("openai", ["for-all"])
    for number in range(MAX_LISTINGS + 10):
        models.note_listed("openai", ["theirs"], f"tenant-{number}")
    assert "theirs" not in models.listed("openai", "tenant-0")
    assert "theirs" in models.listed("openai", f"tenant-{MAX_LISTINGS + 9}")
    assert "for-all" in models.listed("openai")


def test_a_provider_without_keys_has_the_models_it_is_configured_with() -> None:
    assert "gpt-4o" in ModelNames(PROVIDERS).named("openai")
    assert ModelNames(PROVIDERS).named("groq") == {"llama"}
