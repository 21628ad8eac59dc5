"""Exporting: a private file that appears whole or not at all, and plaintext only on request."""

import json
from pathlib import Path

import grpc
import pytest

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesSealer
from broker.cli.exits import Exit
from broker.core.sealed import Binding
from broker.core.secret import Secret
from keybroker.v1 import admin_pb2, key_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import SECRET
from tests.unit.cli.scripted import Fault, Scripted


async def sealed(sealer: AesSealer, key_id: str, *secrets: str) -> admin_pb2.ImportedKey:
    """A key as the broker exports it; all but its newest secret were accepted."""
    key = admin_pb2.ImportedKey(tenant_id="acme", provider="openai", key_id=key_id)
    key.settings.weight = 1.0
    for number, text in enumerate(secrets):
        name = f"{number:016}"
        made = await sealer.seal(Secret(text), Binding("acme", "openai", key_id, name))
        revision = key.sealed.revisions.add(
            revision=name,
            sealed_by=made.sealed_by,
            wrapped_key=made.wrapped_key,
            ciphertext=made.ciphertext,
        )
        revision.create_time.seconds = 1_900_000_000
        if number:
            revision.authenticate_time.seconds = 1_900_000_000
    return key


@pytest.fixture
def seal_key() -> Path:
    """The broker's file of sealing keys."""
    file = Path("seal.key")
    KeyFile(file, Purpose.SEAL).obtain()
    return file


@pytest.fixture
async def exported(broker: Scripted, seal_key: Path) -> list[admin_pb2.ImportedKey]:
    """What the broker exports, in two messages."""
    sealer = AesSealer.of_keys(*KeyFile(seal_key, Purpose.SEAL).read() or ())
    keys = [
        await sealed(sealer, "a", "sk-unproved", SECRET, "sk-older"),
        await sealed(sealer, "b", "sk-b"),
        await sealed(sealer, "c", "sk-c"),
    ]
    halves = [admin_pb2.ExportKeysResponse(keys=some) for some in (keys[:2], keys[2:])]
    broker.on("ExportKeys", list(halves))
    return keys


def lines(file: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def mode(file: str) -> int:
    return Path(file).stat().st_mode & 0o777


def left() -> set[str]:
    return {file.name for file in Path().iterdir()} - {"seal.key"}


def test_keys_are_written_sealed_to_a_private_file(
    keybroker: Keybroker, broker: Scripted, exported: object
) -> None:
    result = keybroker(*("keys", "export", "-o", "keys.jsonl"), "--tenant", "acme")
    assert (result.code, result.out) == (Exit.OK, "Exported 3 keys to keys.jsonl.\n")
    assert mode("keys.jsonl") == 0o600
    assert [line["key_id"] for line in lines("keys.jsonl")] == ["a", "b", "c"]
    assert all("sealed" in line and "secret" not in line for line in lines("keys.jsonl"))
    assert left() == {"keys.jsonl"}
    assert broker.requests("ExportKeys") == [admin_pb2.ExportKeysRequest(tenant_id="acme")]


def test_piped_on_they_are_lines_and_nothing_else(keybroker: Keybroker, exported: object) -> None:
    result = keybroker("keys", "export")
    assert (len(result.lines), result.err) == (3, "Exported 3 keys.\n")
    assert keybroker("keys", "export", "-o", "-").lines == result.lines


def test_a_file_that_is_there_is_replaced_by_force_only(
    keybroker: Keybroker, exported: object
) -> None:
    Path("keys.jsonl").write_text("precious")
    result = keybroker("keys", "export", "-o", "keys.jsonl")
    assert result.code == Exit.USAGE
    assert "--force" in result.err
    assert Path("keys.jsonl").read_text() == "precious"
    assert keybroker("keys", "export", "-o", "keys.jsonl", "--force").code == Exit.OK
    assert len(lines("keys.jsonl")) == 3
    assert mode("keys.jsonl") == 0o600
    assert left() == {"keys.jsonl"}


def test_a_link_is_a_file_that_is_there(keybroker: Keybroker, exported: object) -> None:
    Path("keys.jsonl").symlink_to("elsewhere")
    assert keybroker("keys", "export", "-o", "keys.jsonl").code == Exit.USAGE
    assert left() == {"keys.jsonl"}


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_an_export_that_breaks_off_leaves_everything_as_it_was(
    keybroker: Keybroker, broker: Scripted, force: tuple[str, ...]
) -> None:
    broker.on("ExportKeys", Fault(grpc.StatusCode.UNAVAILABLE, "", "STORE_UNAVAILABLE"))
    result = keybroker("keys", "export", "-o", "keys.jsonl", *force)
    assert result.code == Exit.STORE
    assert left() == set()


@pytest.mark.parametrize("file", ["nowhere/keys.jsonl", "."])
def test_where_nothing_can_be_written_that_is_told(
    keybroker: Keybroker, exported: object, file: str
) -> None:
    result = keybroker("keys", "export", "-o", file, "--force")
    assert result.code == Exit.USAGE
    assert "cannot be written" in result.err
    assert left() == set()


def test_as_json_the_end_is_one_document(keybroker: Keybroker, exported: object) -> None:
    result = keybroker("keys", "export", "-o", "keys.jsonl", "--format", "json")
    assert result.json == {"exported_count": 3, "file": "keys.jsonl"}


def test_plaintext_is_the_secret_that_was_accepted_last(
    keybroker: Keybroker, exported: object
) -> None:
    result = keybroker(
        *("keys", "export", "-o", "open.jsonl", "--plaintext", "--seal-key", "seal.key", "--yes")
    )
    assert (result.code, result.out) == (Exit.OK, "Exported 3 keys to open.jsonl.\n")
    assert [line["secret"] for line in lines("open.jsonl")] == [SECRET, "sk-b", "sk-c"]
    assert not any("sealed" in line for line in lines("open.jsonl"))
    assert mode("open.jsonl") == 0o600


def test_plaintext_is_not_written_unasked(keybroker: Keybroker, exported: object) -> None:
    result = keybroker(
        *("keys", "export", "-o", "open.jsonl", "--plaintext", "--seal-key", "seal.key")
    )
    assert result.code == Exit.USAGE
    assert "--yes" in result.err
    assert SECRET not in result.out + result.err
    assert left() == set()


@pytest.mark.parametrize("given", [("--plaintext",), ("--seal-key", "seal.key")])
def test_plaintext_and_the_sealing_key_go_together(
    keybroker: Keybroker, exported: object, given: tuple[str, ...]
) -> None:
    result = keybroker("keys", "export", "-o", "open.jsonl", "--yes", *given)
    assert result.code == Exit.USAGE
    assert "go together" in result.err


def test_keys_that_do_not_open_are_named_and_no_file_is_left(
    keybroker: Keybroker, broker: Scripted, exported: list[admin_pb2.ImportedKey]
) -> None:
    exported[1].settings.base_url = "https://evil.example"
    exported.append(admin_pb2.ImportedKey(key_id="d"))
    broker.on("ExportKeys", [admin_pb2.ExportKeysResponse(keys=exported)])
    plain = ("--plaintext", "--seal-key", "seal.key", "--yes")
    result = keybroker("keys", "export", "-o", "open.jsonl", *plain)
    assert result.code == Exit.FAILED
    assert "b, d do not open with --seal-key; nothing was written to open.jsonl" in result.err
    assert left() == set()
    result = keybroker("keys", "export", *plain)
    assert result.code == Exit.FAILED
    assert [line["key_id"] for line in result.lines] == ["a", "c"]
    assert "the other 2 were written" in result.err


def test_another_file_of_keys_opens_nothing(keybroker: Keybroker, exported: object) -> None:
    KeyFile(Path("other.key"), Purpose.SEAL).obtain()
    plain = ("--plaintext", "--yes", "--seal-key")
    result = keybroker("keys", "export", *plain, "other.key")
    assert (result.code, result.out) == (Exit.FAILED, "")
    Path("bad.key").write_text("nonsense")
    Path("bad.key").chmod(0o600)
    for file in ("bad.key", "missing.key"):
        result = keybroker("keys", "export", *plain, file)
        assert result.code == Exit.USAGE
        assert f"--seal-key: {file} is" in result.err


def test_settings_come_along(keybroker: Keybroker, broker: Scripted) -> None:
    key = admin_pb2.ImportedKey(tenant_id="acme", provider="openai", key_id="a")
    key.settings.CopyFrom(
        key_pb2.KeySettings(weight=2.5, models={"b": "", "a": "c"}, account="main")
    )
    broker.on("ExportKeys", [admin_pb2.ExportKeysResponse(keys=[key])])
    assert keybroker("keys", "export").lines == [
        {
            "tenant_id": "acme",
            "provider": "openai",
            "key_id": "a",
            "models": {"a": "c", "b": ""},
            "weight": 2.5,
            "account": "main",
        }
    ]
