"""The command in this process, and a broker that answers from a script."""

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from broker.cli.main import run
from tests.unit.cli.scripted import Scripted, served


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output, which must be JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Keybroker: TypeAlias = Callable[..., Result]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder and an environment without settings, keys or terminal."""
    for name in os.environ:
        if name.startswith("KEYBROKER_") or "_API_KEY" in name or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def keybroker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keybroker:
    """Run the command with some standard input."""

    def invoke(*arguments: str, stdin: bytes | str = b"") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = run(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "\x1b" not in out + err
        return Result(code, out, err)

    return invoke


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """A scripted broker, which the environment names."""
    for scripted in served():
        monkeypatch.setenv("KEYBROKER_ADDRESS", f"127.0.0.1:{scripted.port}")
        yield scripted
