"""`keybroker seal`: what it asks for, what it makes of answers, and key files on this machine."""

import stat
from pathlib import Path

import grpc
import pytest

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesKeyWrapper
from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, status_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.scripted import Fault, Scripted

OLD, NEW = "0" * 16, "1" * 16
BAD = admin_pb2.SealedRow(
    table="key_revisions",
    key_id="acme-1",
    revision="aa",
    tenant_id="acme",
    provider="openai",
    sealed_by=OLD,
)


def seal(*keys: admin_pb2.SealingKey, fault: str = "") -> admin_pb2.GetSealResponse:
    state = status_pb2.SEAL_STATE_SEALED if fault else status_pb2.SEAL_STATE_OPEN
    return admin_pb2.GetSealResponse(
        seal=status_pb2.SealStatus(state=state, fault=fault),
        current_key_id="" if fault else NEW,
        keys=keys,
    )


def ids_in(path: Path) -> list[str]:
    keys = KeyFile(path, Purpose.SEAL).read() or ()
    return [AesKeyWrapper(key).key_id for key in keys]


def test_the_status_shows_each_key_and_who_lacks_it(keybroker: Keybroker, broker: Scripted) -> None:
    old = admin_pb2.SealingKey(key_id=OLD, at_hand=True, row_count=7, missing_at=["b1", "b2"])
    broker.on("GetSeal", seal(old, admin_pb2.SealingKey(key_id=NEW, at_hand=True, row_count=12)))
    shown = keybroker("seal", "status")
    assert shown.code == Exit.OK
    assert f"{OLD}         yes      7     b1, b2" in shown.out
    assert f"{NEW}  yes    yes      12" in shown.out
    as_json = keybroker("seal", "status", "--format", "json").json
    assert [key["row_count"] for key in as_json["keys"]] == ["7", "12"]


def test_a_sealed_broker_s_status_has_an_exit_code_of_its_own(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("GetSeal", seal(fault="seal.key is missing: put it back"))
    shown = keybroker("seal", "status")
    assert shown.code == Exit.STORE
    assert "seal.key is missing: put it back" in shown.out


def test_verifying_names_what_does_not_open(keybroker: Keybroker, broker: Scripted) -> None:
    begun = admin_pb2.VerifySealResponse(total_count=2)
    good = admin_pb2.VerifySealResponse(total_count=2, done_count=2, done=True)
    broker.on("VerifySeal", [begun, good])
    well = keybroker("seal", "verify")
    assert (well.code, well.out) == (Exit.OK, "Everything opens: 2 secrets.\n")
    bad = admin_pb2.VerifySealResponse(total_count=2, done_count=2, done=True, unreadable=[BAD])
    broker.on("VerifySeal", [begun, bad])
    ill = keybroker("seal", "verify")
    assert ill.code == Exit.FAILED
    assert "acme-1" in ill.out
    assert "1 secret could not be opened: rotate or delete" in ill.err
    lines = keybroker("seal", "verify", "--format", "json").lines
    assert [line["done"] for line in lines] == [False, True]


def test_a_rotation_tells_its_end_and_what_it_left(keybroker: Keybroker, broker: Scripted) -> None:
    end = admin_pb2.RotateSealResponse(key_id=NEW, done_count=3, total_count=3, done=True)
    broker.on("RotateSeal", [admin_pb2.RotateSealResponse(key_id=NEW, total_count=3), end])
    done = keybroker("seal", "rotate", "--to", NEW)
    assert (done.code, done.out) == (
        Exit.OK,
        f"Sealing key {NEW} seals now; 3 secrets sealed anew with it.\n",
    )
    assert "Back the key file up" in done.err
    end.unreadable.append(BAD)
    broker.on("RotateSeal", [end])
    assert keybroker("seal", "rotate").code == Exit.FAILED
    assert [request.key_id for request in broker.requests("RotateSeal")] == [NEW, ""]
    [line] = keybroker("seal", "rotate", "--format", "json").lines
    assert line["unreadable"][0]["key_id"] == "acme-1"


def test_a_key_that_brokers_lack_is_refused_in_the_broker_s_words(
    keybroker: Keybroker, broker: Scripted
) -> None:
    metadata = {"sealing_key_id": NEW, "replicas": "b2"}
    code = grpc.StatusCode.FAILED_PRECONDITION
    broker.on("RotateSeal", Fault(code, "not at hand at b2", "SEALING_KEY_MISSING", metadata))
    refused = keybroker("seal", "rotate", "--to", NEW)
    assert (refused.code, refused.err) == (Exit.REFUSED, "keybroker: not at hand at b2\n")


def test_what_is_lost_is_forgotten_only_when_somebody_said_yes(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("DropSealed", admin_pb2.DropSealedResponse(dropped_count=4))
    refused = keybroker("seal", "drop", OLD, stdin="y\n")
    assert (refused.code, broker.asked) == (Exit.USAGE, [])
    done = keybroker("seal", "drop", OLD, NEW, "--yes")
    assert (done.code, done.out) == (Exit.OK, "Forgot 4 secrets.\n")
    assert list(broker.requests("DropSealed")[0].sealing_key_ids) == [OLD, NEW]
    as_json = keybroker("seal", "drop", OLD, "-y", "--format", "json").json
    assert as_json == {"dropped_count": "4"}


def test_a_key_file_is_made_for_its_user_alone_and_never_over_another(
    keybroker: Keybroker, tmp_path: Path
) -> None:
    path = tmp_path / "seal.key"
    made = keybroker("seal", "init", str(path))
    [key_id] = ids_in(path)
    assert (made.code, made.out) == (Exit.OK, f"Made {path} with sealing key {key_id}.\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = keybroker("seal", "init", str(path))
    assert again.code == Exit.USAGE
    assert f"use 'keybroker seal add {path}'" in again.err
    assert ids_in(path) == [key_id]
    assert path.read_text().split()[1] not in made.out + made.err + again.err


def test_a_key_is_added_behind_the_others(keybroker: Keybroker, tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    keybroker("seal", "init", str(path))
    added = keybroker("seal", "add", str(path))
    first, second = ids_in(path)
    assert added.out == f"Added sealing key {second} to {path}.\n"
    assert f"keybroker seal rotate --to {second}" in added.err
    as_json = keybroker("seal", "add", str(path), "--format", "json").json
    assert as_json["key_ids"][:2] == [first, second]
    assert as_json["added_key_id"] == as_json["key_ids"][2]
    shown = keybroker("seal", "show", str(path))
    assert shown.out.splitlines() == ids_in(path)


@pytest.mark.parametrize("command", ["add", "show"])
@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "missing|there is no file"),
        (b"", 0o600, "is damaged"),
        (b"sk-not-a-key\n", 0o600, "is damaged"),
        (f"keybroker-lease-1 {'ab' * 32}\n".encode(), 0o600, "holds no seal key"),
        (f"keybroker-seal-1 {'ab' * 32}\n".encode(), 0o644, "run chmod 600"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_left_alone(
    keybroker: Keybroker, tmp_path: Path, command: str, content: bytes | None, mode: int, said: str
) -> None:
    path = tmp_path / "seal.key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    result = keybroker("seal", command, str(path))
    assert (result.code, result.out) == (Exit.USAGE, "")
    assert any(part in result.err for part in said.split("|"))
    assert "ab" * 32 not in result.err
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_folder_that_is_not_there_is_not_made(keybroker: Keybroker, tmp_path: Path) -> None:
    result = keybroker("seal", "init", str(tmp_path / "no" / "seal.key"))
    assert result.code == Exit.USAGE
    assert "make it first" in result.err
    assert list(tmp_path.iterdir()) == []
