"""Settings: every fault at once, each with what to do, none with a value in it."""

import json
from datetime import time
from pathlib import Path

import pytest

from broker.catalog import load_catalog
from broker.config import Settings, SettingsError, configured_providers, load_settings
from broker.config.forms import parse_hour
from broker.core.denial import Target
from broker.services.boot import BootPolicy
from broker.services.principal import Role

SECRET = "hunter2-hunter2"
TOKEN = {"name": "chat", "token": "t" * 20, "roles": ["gateway"]}


def faults_of(**given: str) -> list[str]:
    """The faults of settings given by their variables."""
    environ = {f"KEYBROKER_{name}": value for name, value in given.items()}
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return list(caught.value.faults)


def loaded(**given: str) -> Settings:
    """Settings given by their variables."""
    return load_settings({f"KEYBROKER_{name}": value for name, value in given.items()})


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


def test_without_settings_it_listens_on_loopback_for_everybody() -> None:
    settings = loaded()
    assert settings.grpc_listen == "127.0.0.1:50051"
    assert settings.http_listen == "127.0.0.1:8080"
    assert settings.tokens == ()


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of(
        GRPC_LISTEN="0.0.0.0:50051",
        HTTP_LISTEN="nowhere",
        DRAIN_SECONDS="nan",
        BOOT_PROBE="always",
        TOKENS="[{",
        PROVIDERS='{"acme": {"dialect": "opnai"}}',
        TLS_KEY="/no/such/file",
        LEASE_SECRETS=SECRET,
        DRAIN="1",
    )
    named = {fault.partition(":")[0] for fault in faults}
    assert named == {
        "KEYBROKER_GRPC_LISTEN",
        "KEYBROKER_HTTP_LISTEN",
        "KEYBROKER_DRAIN_SECONDS",
        "KEYBROKER_BOOT_PROBE",
        "KEYBROKER_TOKENS",
        "KEYBROKER_PROVIDERS.acme.dialect",
        "KEYBROKER_TLS_KEY",
        "KEYBROKER_TLS_CERT",
        "KEYBROKER_LEASE_SECRETS[0]",
        "KEYBROKER_DRAIN",
    }
    assert all("; " in fault for fault in faults)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENS", json.dumps([{"name": "a", "token": SECRET[:9], "roles": ["gateway"]}])),
        ("TOKENS", json.dumps([{"name": f"{SECRET}\n", "token": SECRET, "roles": []}])),
        ("TOKENS", json.dumps([{**TOKEN, "token_sha256": SECRET}])),
        ("TOKENS", json.dumps({"token": SECRET})),
        ("TOKENS", f"[{SECRET}"),
        ("TOKENS", json.dumps([SECRET])),
        ("LEASE_SECRETS", SECRET),
        ("LEASE_SECRETS", json.dumps([SECRET, SECRET])),
        ("FINGERPRINT_SECRET", SECRET),
        ("GRPC_LISTEN", SECRET),
        ("LOG_LEVEL", SECRET),
        ("REPLICA", f"{SECRET} x"),
        ("DRAIN_SECONDS", SECRET),
        ("REFLECTION", SECRET),
        ("PROVIDERS", json.dumps({SECRET.upper(): {}})),
        ("PROVIDERS", json.dumps({"acme": {"base_url": f"https://user:{SECRET}@host"}})),
        ("PROVIDERS", json.dumps({"acme": {"dialect": f"{SECRET}!"}})),
        ("PROVIDERS", json.dumps({"openai": {"fallbacks": [SECRET]}})),
    ],
)
def test_no_fault_repeats_a_value(name: str, value: str) -> None:
    faults = faults_of(**{name: value})
    assert faults
    assert SECRET[:9].lower() not in "\n".join(faults).lower()


def test_a_typo_gets_a_hint() -> None:
    (fault,) = faults_of(GRPC_LISTN="127.0.0.1:1")
    assert fault == "KEYBROKER_GRPC_LISTN: is no setting; did you mean KEYBROKER_GRPC_LISTEN?"


@pytest.mark.parametrize("setting", ["GRPC_LISTEN", "HTTP_LISTEN"])
@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.1.2.3:1", "broker.example:1"])
def test_beyond_loopback_it_needs_tls_and_tokens(setting: str, address: str) -> None:
    without_tls, without_tokens = faults_of(**{setting: address})
    assert "without TLS" in without_tls
    assert "without tokens" in without_tokens


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.8.9.10:1", "[::1]:1", "localhost:1"])
def test_on_loopback_it_needs_neither(address: str) -> None:
    assert loaded(GRPC_LISTEN=address).grpc_listen == address


@pytest.mark.parametrize("address", ["", "50051", ":50051", "::1:50051", "h:65536", "h:-1", "h:x"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    if address:
        assert "host:port" in faults_of(GRPC_LISTEN=address)[0]
    else:
        assert loaded(GRPC_LISTEN=address).grpc_listen == "127.0.0.1:50051"


def test_http_can_be_switched_off() -> None:
    assert loaded(HTTP_LISTEN="").http_listen == ""


def test_tokens_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([TOKEN]))
    (token,) = loaded(TOKENS_FILE=str(file)).tokens
    assert token.name == "chat"
    assert token.roles == {Role.GATEWAY}


def test_tokens_have_one_source(tmp_path: Path) -> None:
    (fault,) = faults_of(TOKENS_FILE=str(tmp_path), TOKENS=json.dumps([TOKEN]))
    assert fault.startswith("KEYBROKER_TOKENS_FILE: KEYBROKER_TOKENS is set as well")


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_tokens_file_that_cannot_be_read_is_one_fault(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "tokens.json"
    if content is not None:
        file.write_bytes(content)
    faults = faults_of(TOKENS_FILE=str(file), GRPC_LISTEN="0.0.0.0:1")
    assert any(fault.startswith("KEYBROKER_TOKENS_FILE: ") for fault in faults)
    assert not any("without tokens" in fault for fault in faults)


def test_two_principals_cannot_share_a_token() -> None:
    (fault,) = faults_of(TOKENS=json.dumps([TOKEN, {**TOKEN, "name": "other"}]))
    assert fault.startswith("KEYBROKER_TOKENS[1]: is the token of [0]")


def test_a_token_may_be_given_by_its_digest() -> None:
    plain, hashed = loaded(
        TOKENS=json.dumps([TOKEN, {"name": "b", "token_sha256": "ab" * 32, "roles": ["operator"]}])
    ).tokens
    assert hashed.digest == b"\xab" * 32
    assert len(plain.digest) == 32


def test_settings_stand_in_the_env_file_under_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "KEYBROKER_LOG_LEVEL=debug\nKEYBROKER_REPLICA=from-file\nOPENAI_API_KEY=sk-x\n"
    )
    settings = loaded(REPLICA="from-environment")
    assert settings.log_level == "debug"
    assert settings.replica == "from-environment"


def test_an_env_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    (fault,) = faults_of(ENV_FILE=str(tmp_path / "missing"))
    assert fault.startswith("KEYBROKER_ENV_FILE: cannot be read")


def test_lease_secrets_are_one_or_a_list() -> None:
    assert len(loaded(LEASE_SECRETS="s" * 32).lease_secrets) == 1
    assert len(loaded(LEASE_SECRETS=json.dumps(["s" * 32, "t" * 32])).lease_secrets) == 2


def test_every_dialect_with_an_address_is_a_provider_of_its_name() -> None:
    catalog = load_catalog()
    providers = configured_providers(loaded(), catalog)
    assert providers.keys() == {name for name, dialect in catalog.items() if dialect.base_url}


def test_providers_are_added_and_changed() -> None:
    given = {
        "acme-vllm": {
            "dialect": "openai_compatible",
            "base_url": "https://10.0.0.1:8000/v1/",
            "models": ["llama"],
            "fallbacks": ["groq/org/llama"],
        },
        "openai": {"base_url": "https://proxy.example/v1"},
    }
    providers = configured_providers(loaded(PROVIDERS=json.dumps(given)), load_catalog())
    acme = providers["acme-vllm"]
    assert acme.dialect.name == "openai_compatible"
    assert acme.base_url == "https://10.0.0.1:8000/v1"
    assert acme.models == ("llama",)
    assert acme.fallbacks == (Target("groq", "org/llama"),)
    assert providers["openai"].base_url == "https://proxy.example/v1"
    assert providers["openai"].dialect.name == "openai"


@pytest.mark.parametrize(
    ("providers", "place"),
    [
        ({"acme": {}}, "acme.dialect"),
        ({"acme": {"dialect": "openai_compatible"}}, "acme.base_url"),
        ({"openai": {"fallbacks": ["gone/model"]}}, "openai.fallbacks[0]"),
        ({"openai": {"fallbacks": ["groq"]}}, "openai.fallbacks[0]"),
        ({"openai": {"base_url": "ftp://x"}}, "openai.base_url"),
        ({"openai": {"urls": []}}, "openai.urls"),
    ],
)
def test_a_wrong_provider_is_named(providers: dict[str, object], place: str) -> None:
    (fault,) = faults_of(PROVIDERS=json.dumps(providers))
    assert fault.startswith(f"KEYBROKER_PROVIDERS.{place}: ")


# --- Watching ---------------------------------------------------------------------------------


def test_what_is_required_at_the_start_is_a_policy_and_a_list_of_providers() -> None:
    settings = loaded(BOOT_PROBE="require-any", REQUIRED_PROVIDERS="openai, groq,")
    assert settings.boot_probe is BootPolicy.REQUIRE_ANY
    assert settings.required_providers == ("openai", "groq")
    assert loaded(REQUIRED_PROVIDERS='["openai"]').required_providers == ("openai",)
    assert loaded().required_providers == ()


def test_a_required_provider_that_is_not_configured_is_a_fault() -> None:
    (fault,) = faults_of(REQUIRED_PROVIDERS="openai,acme")
    assert fault.startswith("KEYBROKER_REQUIRED_PROVIDERS[1]: no such provider; use one of ")
    acme = '{"acme": {"dialect": "openai"}}'
    assert loaded(REQUIRED_PROVIDERS="acme", PROVIDERS=acme).required_providers == ("acme",)


def test_the_daily_report_has_an_hour_or_none() -> None:
    assert parse_hour(loaded().daily_report) == time(8)
    assert parse_hour(loaded(DAILY_REPORT="23:59").daily_report) == time(23, 59)
    assert parse_hour(loaded(DAILY_REPORT="").daily_report) is None


@pytest.mark.parametrize("value", ["8:00", "24:00", "08:60", "0800", "08:00:00", "١٢:00", "noon"])
def test_an_hour_that_is_none_is_a_fault(value: str) -> None:
    (fault,) = faults_of(DAILY_REPORT=value)
    assert fault == (
        "KEYBROKER_DAILY_REPORT: is not HH:MM, such as 08:00;"
        " correct it, or unset it for the default, 08:00"
    )
