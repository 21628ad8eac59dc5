"""Where a secret may come from, and that it is shown nowhere."""

import sys
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from broker.cli.main import run
from keybroker.v1 import admin_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import SECRET, a_key
from tests.unit.cli.scripted import Scripted

ROTATE = ("keys", "rotate", "acme-1")


@pytest.fixture
def rotating(broker: Scripted) -> Scripted:
    broker.on("RotateKey", admin_pb2.RotateKeyResponse(key=a_key("acme-1")))
    return broker


def test_a_file_holds_the_secret(keybroker: Keybroker, rotating: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"  {SECRET}\r\n")
    assert keybroker(*ROTATE, "--secret-file", str(file)).code == Exit.OK
    assert keybroker(*ROTATE, "--secret-file", "-", stdin=SECRET).code == Exit.OK
    sent = [request.secret.plaintext for request in rotating.requests("RotateKey")]
    assert sent == [SECRET, SECRET]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no secret"),
        (" \n", "holds no secret"),
        (f"{SECRET}\n{SECRET}", "several lines"),
        (f"{SECRET} {SECRET}", "a character that no secret has"),
        (f"{SECRET}\x00", "a character that no secret has"),
        (f"{SECRET}é", "a character that no secret has"),
        (SECRET * 500, "more than 8192"),
    ],
)
def test_what_cannot_be_a_secret_is_told_without_showing_it(
    keybroker: Keybroker, rotating: Scripted, text: str, said: str
) -> None:
    result = keybroker(*ROTATE, stdin=text)
    assert result.code == Exit.USAGE
    assert said in result.err
    assert "canary" not in result.err
    assert not rotating.asked


@pytest.mark.parametrize("option", ["--secret", "--key", "--api-key", "--token"])
def test_a_secret_on_the_command_line_is_refused_with_advice(
    keybroker: Keybroker, rotating: Scripted, option: str
) -> None:
    for given in ([option, SECRET], [f"{option}={SECRET}"]):
        result = keybroker(*ROTATE, *given)
        assert result.code == Exit.USAGE
        assert "standard input, --secret-file" in result.err
        assert "canary" not in result.err
    assert not rotating.asked


def test_a_file_that_is_not_there_is_told(keybroker: Keybroker) -> None:
    result = keybroker(*ROTATE, "--secret-file", "/nowhere/x")
    assert result.code == Exit.USAGE
    assert "/nowhere/x cannot be read (No such file or directory)" in result.err


def test_closed_standard_input_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(ROTATE) == Exit.USAGE
    assert "standard input is closed" in capsys.readouterr().err
    assert run(["classify"]) == Exit.USAGE
    assert "standard input is closed" in capsys.readouterr().err
    assert run(["keys", "delete", "acme-1"]) == Exit.USAGE
    assert "--yes" in capsys.readouterr().err
