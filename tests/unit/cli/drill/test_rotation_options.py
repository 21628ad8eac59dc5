"""What `keybroker drill rotation` refuses before it starts a process."""

from pathlib import Path

import pytest

from broker.cli.drill import extras
from broker.cli.exits import Exit
from tests.unit.cli.conftest import Keybroker


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--story", "d"], "--story: d is none of a, b, c"),
        (["--story", ","], "--story: nothing is none of a, b, c"),
        (["--rate", "0"], "--rate"),
        (["--rate", "nan"], "--rate"),
        (["--replicas", "0"], "--replicas"),
        (["--seconds", "0.5"], "--seconds"),
        (["--database", "sqlite:///x.db"], "--database: is no postgresql:// URL"),
        (["--database", "memory"], "--database: is no postgresql:// URL"),
        (["--database", "postgresql://h"], "--database: names no database"),
        (["--database", "nonsense"], "--database: is neither"),
        (["--database", "postgresql://u:zqcanary@h/d"], "KEYBROKER_DATABASE_PASSWORD"),
        (["--database", "postgresql://u@h/d?password=zqcanary"], "KEYBROKER_DATABASE_PASSWORD"),
        (["a"], "too many arguments"),
    ],
)
def test_wrong_input_is_one_sentence(keybroker: Keybroker, arguments: list[str], said: str) -> None:
    result = keybroker("drill", "rotation", *arguments)
    assert result.code == Exit.USAGE
    assert said in result.err
    assert len(result.err.splitlines()) == 1
    assert "zqcanary" not in result.err


def test_a_folder_that_takes_no_report_is_told_before_the_drill(
    keybroker: Keybroker, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    result = keybroker("drill", "rotation", "--out", "taken")
    assert result.code == Exit.USAGE
    assert "--out: nothing can be written there" in result.err
    assert len(result.err.splitlines()) == 1


def test_what_is_missing_is_told_with_how_to_get_it(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "NEEDED", ("json", "no_such_module"))
    result = keybroker("drill", "rotation")
    assert result.code == Exit.FAILED
    assert result.err == (
        "keybroker: the drill needs no_such_module, which the server does not: install them with"
        " 'pip install keybroker-server[drill]'\n"
    )
