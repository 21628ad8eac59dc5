"""Files that are none: the start says so, and never hangs on one."""

import os
from pathlib import Path

import pytest

from broker.config import SettingsError, load_settings


def faults(**environ: str) -> list[str]:
    given = {f"KEYBROKER_{name}": value for name, value in environ.items()}
    with pytest.raises(SettingsError) as raised:
        load_settings(given)
    return list(raised.value.faults)


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "pipe")
    return str(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["ENV_FILE", "KEYS_FILE", "TLS_CLIENT_CA"])
def test_a_pipe_in_place_of_a_file_is_a_fault(name: str, pipe: str) -> None:
    told = f"KEYBROKER_{name}: cannot be read (it is no regular file); correct the path"
    assert told in faults(**{name: pipe})


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/dev/zero", "it is no regular file"),
        ("/", "it is no regular file"),
        ("/absent/keys", "No such file or directory"),
    ],
)
def test_what_is_no_file_is_a_fault(path: str, problem: str) -> None:
    told = f"cannot be read ({problem}); correct the path"
    assert faults(ENV_FILE=path, KEYS_FILE=path) == [
        f"KEYBROKER_ENV_FILE: {told}",
        f"KEYBROKER_KEYS_FILE: {told}",
    ]


def test_a_file_far_too_large_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"#" * (1024 * 1024 + 1))
    assert faults(ENV_FILE=str(tmp_path / ".env")) == [
        "KEYBROKER_ENV_FILE: cannot be read (it is larger than 1048576 bytes); correct the path"
    ]


def test_the_default_file_may_be_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who did not name it need not have it; as a source of keys it says what is wrong."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / ".env")
    assert load_settings({}).env_file == Path(".env")


def test_the_null_device_stands_for_no_file() -> None:
    assert load_settings({"KEYBROKER_ENV_FILE": "/dev/null"}).env_file == Path("/dev/null")
