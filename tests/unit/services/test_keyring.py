"""The keys there are, the pools they form, and what is remembered of models."""

from dataclasses import replace

import pytest

from broker.core.admission import Block
from broker.core.circuit import FOREVER
from broker.core.key import Key
from broker.core.words import DenialReason
from broker.ports.key_source import SourceSnapshot
from broker.services.errors import KeyUnknownError, ProviderUnknownError
from broker.services.keyring import Keyring
from broker.services.model_names import MAX_WORKED_MODELS
from broker.services.pools import MAX_CANDIDATES
from tests.unit.services.answers import PROVIDERS
from tests.unit.services.status_given import a_key, billed, on_model, whole

A, B = a_key("a"), a_key("b")


def keyring_of(*keys: Key) -> Keyring:
    keyring = Keyring(PROVIDERS)
    keyring.replace("env", SourceSnapshot(keys))
    return keyring


def names(keyring: Keyring, model: str = "gpt-4o") -> set[str]:
    return {candidate.key.key_id for candidate in keyring.pool("openai", model)}


def test_a_pool_has_the_keys_of_its_provider_that_allow_the_model() -> None:
    keyring = keyring_of(A, a_key("m", models={"gpt-mini": "", "o*": ""}), a_key("g", "groq"))
    assert names(keyring) == {"a"}
    assert names(keyring, "gpt-mini") == {"a", "m"}
    assert names(keyring, "o3") == {"a", "m"}


def test_a_pool_is_built_once_and_anew_when_keys_changed() -> None:
    keyring = keyring_of(A)
    pool = keyring.pool("openai", "gpt-4o")
    keyring.replace("env", SourceSnapshot((A,)))
    assert keyring.pool("openai", "gpt-4o") is pool
    keyring.replace("env", SourceSnapshot((A, B)))
    assert keyring.pool("openai", "gpt-4o") is not pool
    assert names(keyring) == {"a", "b"}


def test_a_reading_says_what_it_changed() -> None:
    keyring = keyring_of(A, B)
    new, added = replace(A, revision="new"), a_key("c")
    refreshed = keyring.replace("env", SourceSnapshot((new, added)))
    assert refreshed.added == (added,)
    assert refreshed.changed == ((A, new),)
    assert refreshed.removed == (B,)


def test_a_source_takes_no_key_from_another() -> None:
    keyring = keyring_of(A)
    refreshed = keyring.replace("file", SourceSnapshot((replace(A, revision="theirs"), B)))
    assert refreshed.added == (B,)
    assert keyring.key("a") == A
    assert keyring.source_of("b") == "file"
    assert keyring.replace("file", SourceSnapshot(())).removed == (B,)
    assert keyring.keys("openai") == [A]


def test_a_revision_is_held_until_it_is_dropped_or_its_key_removed() -> None:
    keyring = keyring_of(A)
    keyring.replace("env", SourceSnapshot((replace(A, revision="new"),)))
    assert keyring.holds("a", A.revision)
    assert keyring.holds("a", "new")
    assert not keyring.holds("b", B.revision)
    keyring.drop(replace(A, revision="new"))
    assert not keyring.holds("a", "new")
    keyring.replace("env", SourceSnapshot(()))
    assert not keyring.holds("a", A.revision)


def test_what_is_not_there_is_a_fault() -> None:
    keyring = keyring_of(A)
    with pytest.raises(KeyUnknownError):
        keyring.key("b")
    with pytest.raises(ProviderUnknownError, match="known: groq,openai,public"):
        keyring.provider("nobody")


def test_models_that_callers_invent_do_not_fill_the_memory() -> None:
    keys = tuple(a_key(f"k{number}") for number in range(400))
    keyring = keyring_of(*keys)
    first = keyring.pool("openai", "m0")
    for number in range(1, MAX_CANDIDATES // 400 + 1):
        keyring.pool("openai", f"m{number}")
    assert keyring.pool("openai", "m0") is not first


def test_the_pool_in_use_outlives_those_that_are_not() -> None:
    keys = tuple(a_key(f"k{number}") for number in range(400))
    keyring = keyring_of(*keys)
    used = keyring.pool("openai", "m0")
    for number in range(1, MAX_CANDIDATES // 400 + 100):
        keyring.pool("openai", f"m{number}")
        assert keyring.pool("openai", "m0") is used


def test_the_load_of_a_key_is_one_over_all_its_models() -> None:
    keyring = keyring_of(A)
    one, two = (keyring.pool("openai", model).find("a") for model in ("gpt-4o", "gpt-mini"))
    assert one is not None
    assert two is not None
    assert one.load is two.load is keyring.load("a")


@pytest.mark.parametrize("what", ["key", "model", "account", "other model", "other key"])
def test_a_change_of_a_scope_brings_the_candidates_back_that_it_is_over(what: str) -> None:
    key = replace(A, account="x")
    keyring = keyring_of(key, B)
    pool = keyring.pool("openai", "gpt-4o")
    candidate = pool.find("a")
    assert candidate is not None
    pool.park(candidate, Block(DenialReason.AT_CAPACITY, FOREVER))
    scopes = {
        "key": whole(key),
        "model": on_model(key),
        "account": billed(key),
        "other model": on_model(key, "gpt-mini"),
        "other key": whole(B),
    }
    keyring.touch(scopes[what])
    assert (candidate.parked is None) is (not what.startswith("other"))


def test_a_model_is_known_when_it_is_configured_or_worked() -> None:
    keyring = keyring_of(a_key("m", models={"named": "", "glob-*": ""}))
    assert keyring.models.is_known("openai", "gpt-4o")
    assert keyring.models.is_known("openai", "named")
    assert not keyring.models.is_known("openai", "glob-1")
    assert not keyring.models.is_known("openai", "worked")
    keyring.models.note_worked("openai", "worked")
    assert keyring.models.is_known("openai", "worked")
    assert not keyring.models.is_known("groq", "worked")


def test_models_that_worked_are_remembered_up_to_a_bound() -> None:
    keyring = keyring_of(A)
    for number in range(MAX_WORKED_MODELS + 5):
        keyring.models.note_worked("openai", f"m{number}")
    assert keyring.models.is_known("openai", f"m{MAX_WORKED_MODELS - 1}")
    assert not keyring.models.is_known("openai", f"m{MAX_WORKED_MODELS}")


def test_models_that_a_probe_listed_are_offered_and_known() -> None:
    keyring = keyring_of(A)
    keyring.models.note_listed("openai", ["listed"])
    keyring.models.note_worked("openai", "worked")
    assert keyring.models.offered("openai") == ("gpt-4o", "gpt-mini", "listed", "worked")
    assert keyring.models.is_known("openai", "listed")


def test_a_provider_that_nobody_named_is_told_of_once_it_had_a_key() -> None:
    unnamed = {name: replace(provider, is_named=False) for name, provider in PROVIDERS.items()}
    keyring = Keyring(unnamed)
    assert keyring.used_providers == []
    keyring.replace("env", SourceSnapshot((a_key("g", "groq"),)))
    assert keyring.used_providers == ["groq"]
    keyring.replace("env", SourceSnapshot(()))
    assert keyring.used_providers == ["groq"]
