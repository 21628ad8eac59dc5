"""What the text of a secret says of keys, and what is said of a text that is wrong."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.adapters.aws.documents import MAX_KEYS, Document, DocumentReader
from broker.core.key import KeyLimits

PROVIDERS = ("openai", "anthropic")
CANARY = "sk-canary-0123456789"


def read(value: Any, name: str = "keybroker/openai", provider: str = "") -> Document:
    text = value if isinstance(value, str) else json.dumps(value)
    return DocumentReader(PROVIDERS).read(text, name, name, provider)


def keys(document: Document) -> list[tuple[str, str, str]]:
    assert document.faults == ()
    return [
        (key.provider, (key.attributes and key.attributes.name) or key.name, key.text)
        for key in document.declared
    ]


@pytest.mark.parametrize("text", ["sk-1", " sk-1\n", '"sk-1"', "\ufeffsk-1"])
def test_a_plain_text_is_one_key(text: str) -> None:
    assert keys(read(text)) == [("openai", "default", "sk-1")]


@pytest.mark.parametrize(
    ("name", "provider", "expected"),
    [
        ("openai", "", "openai/default"),
        ("prod/keys/anthropic", "", "anthropic/default"),
        ("prod/openai-batch", "openai", "openai/openai-batch"),
        ("prod/openai", "anthropic", "anthropic/openai"),
        ("prod/a b@c+d=e", "openai", "openai/a-b-c-d-e"),
        ("prod/..@", "openai", "openai/default"),
        (f"prod/{'n' * 100}", "openai", f"openai/{'n' * 64}"),
    ],
)
def test_a_key_without_a_name_is_called_after_its_secret(
    name: str, provider: str, expected: str
) -> None:
    assert keys(read("sk-1", name, provider)) == [(*expected.split("/"), "sk-1")]


def test_an_object_with_a_secret_is_one_key_with_all_that_a_toml_file_may_say() -> None:
    (key,) = read(
        {
            "secret": "sk-1",
            "name": "batch",
            "models": {"gpt-4o": "gpt-4o-2024", "o*": ""},
            "weight": 2,
            "priority": -1,
            "limits": {"concurrency": 4, "requests_per_minute": 60, "tokens_per_minute": 90000},
            "account": "main",
            "expires_at": "2027-01-31T00:00:00Z",
            "base_url": "https://eu.example.com/v1",
        }
    ).declared
    said = key.attributes
    assert said is not None
    assert (said.name, said.weight, said.priority, said.account) == ("batch", 2.0, -1, "main")
    assert said.models == {"gpt-4o": "gpt-4o-2024", "o*": ""}
    assert said.limits == KeyLimits(4, 60, 90000)
    assert said.expires_at == datetime(2027, 1, 31, tzinfo=UTC)
    assert said.base_url == "https://eu.example.com/v1"


def test_a_list_holds_texts_and_objects_and_names_those_without_a_name_by_fingerprint() -> None:
    document = read(["sk-1", {"secret": "sk-2", "name": "batch"}])
    assert keys(document) == [("openai", "", "sk-1"), ("openai", "batch", "sk-2")]
    assert [key.label for key in document.declared] == [
        "secret 1 in keybroker/openai",
        "secret 2 in keybroker/openai",
    ]


def test_one_secret_may_serve_all_providers() -> None:
    value = {"openai": "sk-1", "anthropic": [{"secret": "sk-2", "name": "a"}, "sk-3"]}
    assert keys(read(value, "keybroker/all")) == [
        ("openai", "default", "sk-1"),
        ("anthropic", "a", "sk-2"),
        ("anthropic", "", "sk-3"),
    ]


def test_a_secret_of_a_provider_may_speak_of_another_too() -> None:
    assert keys(read({"anthropic": "sk-1"})) == [("anthropic", "default", "sk-1")]


@pytest.mark.parametrize("value", [{}, []])
def test_an_empty_list_or_object_of_providers_is_no_fault(value: Any) -> None:
    assert read(value, "kb/all" if value == {} else "kb/openai") == Document()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "has no value"),
        (" \n", "has no value"),
        ('{"secret": "sk-canary-0123456789"', "is not JSON: look at line 1, column 34"),
        ('{"secret": sk-canary-0123456789}', "is not JSON: look at line 1, column 12"),
        ('["sk-canary-0123456789" "x"]', "is not JSON: look at line 1, column 25"),
        ('["\\ud800sk-canary-0123456789"]', "has half a character, which no text can have"),
        ('{"secret": "a", "secret": "sk-canary-0123456789"}', "sets a field twice in one object"),
        ('{"secret": "a", "weight": NaN}', "is not JSON: it has a number that is none"),
        ('{"secret": "a", "weight": ' + "9" * 5000 + "}", "it has a number that is too long"),
        ("[" * 30_000, "is nested too deeply"),
        ({"secrets": CANARY}, "the secret: the key has no secret"),
        ({"secret": {"sk": CANARY}}, "the secret must be a text"),
        ({"secret": " "}, "the secret has no value; the key is not used"),
        ({"secret": CANARY, "weight": CANARY}, "the secret: weight must be a number; the key"),
        ({"secret": "a", CANARY: 1}, "the secret: this is no field: expected one of account"),
        ({"secret": "a", "limits": CANARY}, "limits must be a table"),
        ({"secret": "a", "expires_at": CANARY}, "expires_at must be an RFC 3339 time"),
        ({"secret": "a", "models": {CANARY: 1}}, "models must be a list of models"),
        ([CANARY, 7], "secret 2 must be a text, or an object"),
        ([[CANARY]], "secret 1 must be a text, or an object"),
        ([None], "secret 1 must be a text, or an object"),
        ([{"name": "a"}], "secret 1: the key has no secret"),
        ([""], "secret 1 has no value"),
        ({"openai": [CANARY, ""]}, "secret 2 of openai has no value"),
        ({"openai": "a", "opnai": CANARY}, "field 2 is about no provider that is configured: did"),
        ({"openai": "a", CANARY: "b"}, "configured: use one of anthropic, openai"),
    ],
)
def test_every_fault_is_told_and_nothing_is_quoted(value: Any, message: str) -> None:
    told = read(value).faults
    assert any(message in fault for fault in told)
    assert "canary" not in str(told)


def test_several_faults_are_told_at_once() -> None:
    document = read({"secret": "a", "weight": 0, "priority": "x"})
    assert [fault.partition(" must")[0] for fault in document.faults] == [
        "the secret: weight",
        "the secret: priority",
    ]


def test_a_secret_that_says_of_no_provider_is_told_how_to() -> None:
    for name in ("keybroker/prod", "openai/", ""):
        (fault,) = read(CANARY, name).faults
        assert "says of no provider" in fault
        assert "KEYBROKER_SECRETS_MANAGER" in fault


def test_more_keys_than_are_sane_are_cut_off_with_a_fault() -> None:
    document = read([f"sk-{number}" for number in range(MAX_KEYS + 5)])
    assert len(document.declared) == MAX_KEYS
    assert document.faults == ("holds more than 1000 keys: those after them are not used",)
    assert len(read([0] * 30_000).faults) == MAX_KEYS + 1


def test_no_rendering_of_a_document_holds_a_secret() -> None:
    assert CANARY not in repr(read([CANARY, {"secret": CANARY}]))
