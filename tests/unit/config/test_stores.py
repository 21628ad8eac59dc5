"""Where things are kept: what the settings of databases, secrets and tables take."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from broker.config import Settings, SettingsError, load_settings
from broker.config.stores import database_path, is_postgres

PASSWORD = "hunter2-hunter2"
SHARED = {
    "LEASE_SECRETS": "l" * 32,
    "FINGERPRINT_SECRET": "f" * 32,
    "SEAL_KEY_FILE": "/etc/keybroker/seal.key",
}


def loaded(**given: str) -> Settings:
    return load_settings({f"KEYBROKER_{name}": value for name, value in given.items()})


def faults_of(**given: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(**given)
    return list(caught.value.faults)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://broker@db.example.com:5432/keybroker?sslmode=verify-full",
        "postgres://broker@[::1]/keybroker",
        "postgresql:///keybroker?host=/run/postgresql",
    ],
)
def test_a_postgresql_database_is_named_by_its_url(url: str) -> None:
    settings = loaded(DATABASE=url, **SHARED)
    assert is_postgres(settings.database)
    assert database_path(settings.database) is None


@pytest.mark.parametrize(
    "url",
    [
        "mysql://broker@db/keybroker",
        "postgresql://broker@db:port/keybroker",
        "postgresql://broker@db:5432",
        "postgresql://broker@db/keybroker#x",
        f"postgresql://broker@db/keybroker?password={PASSWORD}",
    ],
)
def test_what_is_no_database_is_a_fault_without_its_value(url: str) -> None:
    [fault] = [
        fault for fault in faults_of(DATABASE=url, **SHARED) if "KEYBROKER_DATABASE:" in fault
    ]
    assert PASSWORD not in fault
    assert "db/" not in fault


def test_brokers_on_one_database_must_be_given_their_common_secrets() -> None:
    faults = faults_of(DATABASE="postgresql://broker@db/keybroker")
    assert [fault.partition(":")[0] for fault in faults] == [
        "KEYBROKER_LEASE_SECRETS",
        "KEYBROKER_FINGERPRINT_SECRET",
        "KEYBROKER_SEAL_KEY_FILE",
    ]


def test_a_common_secret_that_is_wrong_is_not_told_as_missing_too() -> None:
    given = SHARED | {"LEASE_SECRETS": "short"}
    [fault] = faults_of(DATABASE="postgresql://broker@db/keybroker", **given)
    assert fault.startswith("KEYBROKER_LEASE_SECRETS[0]: is shorter than 32 bytes")


def test_a_fault_in_a_selector_says_what_would_do() -> None:
    faults = faults_of(SECRETS_MANAGER='[{"tag": "team"}, {"name": "a", "region": "b"}]')
    assert [fault.partition(";")[0] for fault in faults] == [
        "KEYBROKER_SECRETS_MANAGER[0].tag: is no tag: write it as key=value",
        "KEYBROKER_SECRETS_MANAGER[1].region: is no field here",
    ]


def test_a_kms_key_stands_in_for_the_sealing_keys_file() -> None:
    given = SHARED | {
        "SEAL_KMS_KEYS": "arn:aws:kms:eu-west-1:1:key/a,arn:aws:kms:eu-west-1:1:key/b"
    }
    del given["SEAL_KEY_FILE"]
    settings = loaded(DATABASE="postgresql://broker@db/keybroker", **given)
    assert [key[-1] for key in settings.seal_kms_keys] == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["1234abcd", "alias/keybroker", "arn:aws:kms:eu-west-1:1:alias/keybroker"]
)
def test_what_is_no_arn_of_a_kms_key_is_a_fault(text: str) -> None:
    [fault] = faults_of(SEAL_KMS_KEYS=text)
    assert fault.startswith("KEYBROKER_SEAL_KMS_KEYS[0]: is no ARN of a KMS key")


def test_secrets_are_named_in_words_or_as_json() -> None:
    settings = loaded(SECRETS_MANAGER="keybroker/openai, teams/*")
    assert [(each.name, each.prefix) for each in settings.secrets_manager] == [
        ("keybroker/openai", None),
        (None, "teams/"),
    ]
    text = json.dumps([{"tag": "team=llm", "provider": "openai"}, "keybroker/*"])
    tagged, prefixed = loaded(SECRETS_MANAGER=text).secrets_manager
    assert (tagged.tag, tagged.provider) == ("team=llm", "openai")
    assert prefixed.prefix == "keybroker/"


@pytest.mark.parametrize(
    "value",
    [
        '[{"provider": "openai"}]',
        '[{"name": "a", "prefix": "b"}]',
        '[{"tag": "team"}]',
        '[{"name": "a", "region": "b"}]',
        "*",
        "[1]",
    ],
)
def test_a_selector_that_selects_nothing_definite_is_a_fault(value: str) -> None:
    [fault] = faults_of(SECRETS_MANAGER=value)
    assert fault.startswith("KEYBROKER_SECRETS_MANAGER[0]")


def test_another_systems_table_is_mapped_column_by_column() -> None:
    columns = {"tenant": "org_id", "secret": "api_key", "key_id": "id"}
    settings = loaded(TENANT_TABLE=json.dumps({"table": "public.llm_keys", "columns": columns}))
    table = settings.tenant_table
    assert table is not None
    assert [table.column(name) for name in ("tenant", "provider", "secret", "models")] == [
        "org_id",
        "provider",
        "api_key",
        None,
    ]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"table": "keys", "query": "SELECT 1 WHERE tenant = :tenant"},
        {"table": "keys; DROP TABLE keys"},
        {"query": "SELECT * FROM keys"},
        {"table": "keys", "columns": {"api_key": "secret"}},
        {"table": "keys", "cipher": "fernet"},
        {"table": "keys", "cipher_key_file": "/etc/key"},
        {"table": "keys", "url": PASSWORD},
        {"table": "keys", "poll_seconds": 0},
    ],
)
def test_a_table_that_cannot_be_read_as_meant_is_a_fault(table: dict[str, object]) -> None:
    faults = faults_of(TENANT_TABLE=json.dumps(table))
    assert all(fault.startswith("KEYBROKER_TENANT_TABLE") for fault in faults)
    assert PASSWORD not in " ".join(faults)


def test_no_secret_of_a_database_is_in_what_settings_look_like() -> None:
    url = SecretStr(f"postgresql://broker:{PASSWORD}@db/theirs")
    table = json.dumps({"table": "keys", "url": url.get_secret_value()})
    settings = loaded(DATABASE_PASSWORD=PASSWORD, TENANT_TABLE=table)
    assert PASSWORD not in repr(settings)
