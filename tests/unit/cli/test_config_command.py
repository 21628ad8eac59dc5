"""`keybroker config`: faults all at once, and where each value comes from."""

import json
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from broker.config import Settings
from tests.unit.cli.conftest import Keybroker

SECRET = "canary-of-at-least-thirty-two-bytes-0123"


def test_every_setting_is_printed_with_its_origin(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(
        "OPENAI_API_KEY=sk-canary-1\n\nKEYBROKER_REPLICA=mine\nKEYBROKER_LOG_LEVEL=debug\n"
        "KEYBROKER_GRPC_LISTEN=\n"
    )
    monkeypatch.setenv("KEYBROKER_LOG_LEVEL", "error")
    monkeypatch.setenv("KEYBROKER_HTTP_LISTEN", "")
    rows = {
        row["setting"]: (row["value"], row["origin"])
        for row in keybroker("config", "print", "--format", "json").json["settings"]
    }
    assert set(rows) == {f"KEYBROKER_{name.upper()}" for name in Settings.model_fields}
    assert rows["KEYBROKER_REPLICA"] == ("mine", ".env:3")
    assert rows["KEYBROKER_LOG_LEVEL"] == ("error", "environment")
    assert rows["KEYBROKER_HTTP_LISTEN"] == ("", "environment")
    assert rows["KEYBROKER_GRPC_LISTEN"] == ("127.0.0.1:50051", "default")
    table = keybroker("config", "print").out
    assert [line.split()[0] for line in table.splitlines()[1:]] == list(rows)


def test_no_secret_is_printed(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokens = [
        {"name": "ann", "token": f"{SECRET}-1", "roles": ["operator", "gateway"]},
        {"name": "bob", "token_sha256": "c0" * 32, "roles": ["observer"]},
    ]
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(tokens))
    monkeypatch.setenv("KEYBROKER_TOKENS_FILE", str(file))
    monkeypatch.setenv("KEYBROKER_LEASE_SECRETS", json.dumps([f"{SECRET}-2", f"{SECRET}-3"]))
    monkeypatch.setenv("KEYBROKER_FINGERPRINT_SECRET", f"{SECRET}-4")
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}-5")
    table, as_json = keybroker("config", "print"), keybroker("config", "print", "--format", "json")
    for result in (table, as_json):
        assert result.code == Exit.OK
        assert "canary" not in result.out + result.err
        assert "c0c0" not in result.out
        assert "ann" in result.out
    assert "gateway, operator" in table.out
    rows = {row["setting"]: row for row in as_json.json["settings"]}
    assert rows["KEYBROKER_LEASE_SECRETS"]["value"] == ["(hidden)"] * 2
    assert rows["KEYBROKER_TOKENS"]["origin"] == str(file)


def test_what_only_the_command_reads_is_no_setting(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ADDRESS", "TOKEN", "CA", "CLIENT_CERT", "CLIENT_KEY"):
        monkeypatch.setenv(f"KEYBROKER_{name}", "canary")
    result = keybroker("config", "check")
    assert result.code == Exit.OK
    assert "there are 0 system keys" in result.out
    assert "canary" not in keybroker("config", "print").out


@pytest.mark.parametrize("command", ["check", "print"])
def test_all_wrong_settings_are_told_at_once_without_their_values(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("KEYBROKER_LOG_LEVEL", "canary")
    monkeypatch.setenv("KEYBROKER_TOKENS", "[canary")
    monkeypatch.setenv("KEYBROKER_REPLCA", "canary")
    result = keybroker("config", command)
    assert result.code == Exit.USAGE
    assert result.out == ""
    assert "canary" not in result.err
    assert "did you mean KEYBROKER_REPLICA" in result.err
    assert result.err.splitlines()[-1].startswith("keybroker: 3 settings are wrong")


def test_faults_in_the_sources_are_told_with_their_lines(keybroker: Keybroker) -> None:
    Path(".env").write_text("OPENAI_API_KEY=sk-canary-1\nOPENAI_API_KEY_2=two words\nnonsense\n")
    result = keybroker("config", "check")
    assert result.code == Exit.USAGE
    assert ".env:2: " in result.err
    assert ".env:3: " in result.err
    assert "canary" not in result.err
    as_json = keybroker("config", "check", "--format", "json")
    assert as_json.code == Exit.USAGE
    assert as_json.json["keys"] == ["openai/default"]
    assert len(as_json.json["faults"]) == 2


def test_what_looks_like_a_key_of_no_provider_is_told_and_is_no_fault(
    keybroker: Keybroker,
) -> None:
    Path(".env").write_text("OPENAI_API_KEY=sk-canary-1\nOPENIA_API_KEY_2=sk-canary-2\nDEBUG=1\n")
    result = keybroker("config", "check")
    assert result.code == Exit.OK
    assert result.err == (
        ".env:2: OPENIA_API_KEY_2 is of no provider that is configured, and is not read\n"
    )


def test_keys_of_every_source_are_counted(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[[groq]]\nname = "batch"\nsecret = "gsk-canary-0123456789"\n')
    monkeypatch.setenv("KEYBROKER_KEYS_FILE", str(file))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    result = keybroker("config", "check", "--format", "json")
    assert result.json == {"keys": ["groq/batch", "openai/default"], "faults": []}
