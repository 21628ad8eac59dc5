"""Which broker is called, with what, and what is said when that fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from broker.cli.address import read_target
from broker.cli.exits import CommandError, Exit
from broker.cli.faults import REASONS
from keybroker.v1 import errors_pb2, status_pb2
from tests.integration.edge.certificates import Pair, make_pair
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import a_status
from tests.unit.cli.scripted import Fault, Scripted, served

TOKEN = "token-of-the-operator"


@pytest.mark.parametrize(
    ("text", "name", "has_tls"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", False),
        ("localhost", "localhost:50051", False),
        ("[::1]:9", "[::1]:9", False),
        ("[::1]", "[::1]:50051", False),
        ("http://127.0.0.1:1/", "127.0.0.1:1", False),
        ("https://127.0.0.1:1", "127.0.0.1:1", True),
        ("broker.example:443", "broker.example:443", True),
        ("broker.example", "broker.example:50051", True),
        ("http://broker.example:80", "broker.example:80", False),
    ],
)
def test_beyond_loopback_tls_is_the_default(text: str, name: str, *, has_tls: bool) -> None:
    target = read_target(text, wants_tls=False)
    assert (target.name, target.has_tls) == (name, has_tls)


@pytest.mark.parametrize(
    "text", ["", "x:", ":1", "x:0", "x:99999", "ftp://x:1", "://x:1", "a b:1", "u@x:1", "x/y:1"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(CommandError, match="no address") as caught:
        read_target(text, wants_tls=False)
    assert caught.value.code is Exit.USAGE


def test_the_token_is_sent_and_the_file_wins_over_the_environment(
    keybroker: Keybroker, broker: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broker.on("GetStatus", a_status())
    monkeypatch.setenv("KEYBROKER_TOKEN", TOKEN)
    file = tmp_path / "token"
    file.write_text("another-token-of-hers\n")
    assert keybroker("status").code == Exit.OK
    assert keybroker("status", "--token-file", str(file)).code == Exit.OK
    assert keybroker("--token-file", str(file), "status").code == Exit.OK
    assert broker.tokens == [f"Bearer {TOKEN}", *["Bearer another-token-of-hers"] * 2]


def test_a_token_is_never_sent_in_the_clear_beyond_loopback(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYBROKER_TOKEN", TOKEN)
    result = keybroker("status", "--address", "http://192.0.2.1:50051", "--timeout", "0.2")
    assert result.code == Exit.USAGE
    assert "in the clear" in result.err
    assert TOKEN not in result.err


def test_a_proxy_of_the_environment_never_sees_a_call_on_loopback(
    keybroker: Keybroker, broker: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.on("GetStatus", a_status())
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert keybroker("status").code == Exit.OK


@pytest.mark.parametrize("text", ["", "two words", "tökën", "line\nbreak"])
def test_a_token_file_without_a_token_is_told_and_not_shown(
    keybroker: Keybroker, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    result = keybroker("status", "--token-file", str(file))
    assert result.code == Exit.USAGE
    assert "holds no token" in result.err
    assert not text or text not in result.err


@pytest.mark.parametrize("option", ["--token-file", "--ca"])
def test_a_file_that_cannot_be_read_is_told(keybroker: Keybroker, option: str) -> None:
    result = keybroker("status", option, "/nowhere/x")
    assert result.code == Exit.USAGE
    assert "/nowhere/x cannot be read (No such file or directory)" in result.err


def test_there_is_no_option_that_takes_a_token_itself(keybroker: Keybroker) -> None:
    result = keybroker("status", "--token", TOKEN)
    assert result.code == Exit.USAGE
    assert TOKEN not in result.err


def test_no_broker_is_said_with_what_to_do(keybroker: Keybroker) -> None:
    result = keybroker("status", "--address", "127.0.0.1:9")
    assert result.code == Exit.UNREACHABLE
    assert result.out == ""
    assert "connection refused" in result.err
    assert "keybroker serve" in result.err
    assert len(result.err.splitlines()) == 1


def test_a_broker_that_does_not_answer_in_time_is_given_up(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("GetStatus", Fault(grpc.StatusCode.DEADLINE_EXCEEDED))
    result = keybroker("status", "--timeout", "3")
    assert result.code == Exit.UNREACHABLE
    assert "within 3 s" in result.err


def test_every_reason_of_the_api_has_an_exit_code() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name in list(errors_pb2.ErrorReason.keys())}
    assert set(REASONS) == named - {"UNSPECIFIED"}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_each_fault_is_told_with_its_exit_code_and_in_the_brokers_words_where_metadata_lacks(
    keybroker: Keybroker, broker: Scripted, reason: str
) -> None:
    broker.on("GetStatus", Fault(grpc.StatusCode.ABORTED, "so it\x1b[2J is", reason))
    result = keybroker("status", "--format", "json")
    assert result.code == REASONS[reason].exit
    assert result.out == ""
    sentence = REASONS[reason].sentence
    told = r"so it\x1b[2J is" if "{" in sentence or not sentence else sentence
    assert result.err == f"keybroker: {told}\n"
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_each_fault_is_told_in_this_commands_words(
    keybroker: Keybroker, broker: Scripted, reason: str
) -> None:
    names = re.findall(r"{(\w+)", REASONS[reason].sentence)
    metadata = {name: f"<{name}{{x}}>" for name in names}
    broker.on("GetStatus", Fault(grpc.StatusCode.ABORTED, "so it is", reason, metadata))
    result = keybroker("status")
    assert all(value in result.err for value in metadata.values())
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("reason", "metadata", "told"),
    [
        ("PROVIDER_UNKNOWN", {"provider": "x", "known_providers": "groq,openai"}, "groq, openai"),
        ("TENANT_FORBIDDEN", {"principal": "gw", "tenant_id": ""}, "gw may not lease without a"),
        ("TENANT_FORBIDDEN", {"principal": "gw", "tenant_id": "t"}, "gw may not lease for tenant"),
    ],
)
def test_what_the_broker_tells_programs_is_put_into_words(
    keybroker: Keybroker, broker: Scripted, reason: str, metadata: dict[str, str], told: str
) -> None:
    broker.on("GetStatus", Fault(grpc.StatusCode.ABORTED, "so it is", reason, metadata))
    assert told in keybroker("status").err


def test_a_reason_that_is_newer_than_this_command_is_still_told(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("GetStatus", Fault(grpc.StatusCode.ABORTED, "the moon is full", "MOON_FULL"))
    result = keybroker("status")
    assert (result.code, result.err) == (Exit.FAILED, "keybroker: the moon is full\n")


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, Exit.FAILED),
        (grpc.StatusCode.UNAUTHENTICATED, Exit.FORBIDDEN),
        (grpc.StatusCode.PERMISSION_DENIED, Exit.FORBIDDEN),
        (grpc.StatusCode.UNAVAILABLE, Exit.UNREACHABLE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Exit.FAILED),
    ],
)
def test_what_no_broker_explained_is_told_by_its_code(
    keybroker: Keybroker, broker: Scripted, code: grpc.StatusCode, exit_code: Exit
) -> None:
    broker.on("GetStatus", Fault(code, "who knows"))
    result = keybroker("status")
    assert result.code == exit_code
    assert len(result.err.splitlines()) == 1


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("certificates"), "broker")


@pytest.fixture
def secured(pair: Pair) -> Iterator[Scripted]:
    credentials = grpc.ssl_server_credentials(
        [(pair.key.read_bytes(), pair.cert.read_bytes())],
        root_certificates=pair.cert.read_bytes(),
        require_client_auth=True,
    )
    for scripted in served(credentials):
        scripted.on("GetStatus", status_pb2.GetStatusResponse())
        yield scripted


def test_over_tls_the_ca_vouches_and_a_certificate_is_shown(
    keybroker: Keybroker, secured: Scripted, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYBROKER_TOKEN", TOKEN)
    monkeypatch.setenv("KEYBROKER_ADDRESS", f"localhost:{secured.port}")
    monkeypatch.setenv("KEYBROKER_CA", str(pair.cert))
    own = ("--client-cert", str(pair.cert), "--client-key", str(pair.key))
    assert keybroker("status", *own).code == Exit.OK
    assert secured.tokens == [f"Bearer {TOKEN}"]
    half = keybroker("status", *own[:2])
    assert half.code == Exit.USAGE
    assert "go together" in half.err


def test_a_certificate_that_nobody_vouches_for_is_refused(
    keybroker: Keybroker, secured: Scripted
) -> None:
    result = keybroker("status", "--address", f"https://localhost:{secured.port}")
    assert result.code == Exit.UNREACHABLE
    assert "--ca" in result.err
    assert not secured.tokens


def test_files_that_hold_no_certificates_are_told(
    keybroker: Keybroker, pair: Pair, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("nothing")
    wrong_ca = keybroker("status", "--ca", str(junk))
    assert wrong_ca.code == Exit.USAGE
    assert "holds no certificate" in wrong_ca.err
    own = ("--client-cert", str(pair.cert), "--client-key", str(junk))
    wrong_pair = keybroker("status", *own)
    assert wrong_pair.code == Exit.USAGE
    assert "belong together" in wrong_pair.err
