"""What a person sees first: help, versions, and what is said of wrong arguments."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from broker.cli.commands import COMMANDS
from broker.cli.exits import MEANINGS, Exit
from broker.cli.main import app
from tests.unit.cli.conftest import Keybroker

ROOT = Path(__file__).parents[3]


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every command, groups too."""
    names: list[str] = getattr(command, "list_commands", lambda _: [])(None)
    below = [commands(command.get_command(None, name), (*path, name)) for name in names]
    return [path, *(found for list_ in below for found in list_)]


ALL = commands(get_command(app))
LEAVES = [path for path in ALL if path and not any(o[:-1] == path for o in ALL if o)]


def test_every_command_of_the_product_is_there() -> None:
    wanted = {
        *("serve", "check", "status", "explain", "models", "events", "classify", "completion"),
        *("config check", "config print", "lease try", "circuits list", "circuits clear"),
        *("upstreams list", "upstreams disable", "upstreams enable"),
        *("tenants policy get", "tenants policy set"),
        *(f"keys {name}" for name in ("list", "show", "add", "rotate", "update", "disable")),
        *(f"keys {name}" for name in ("enable", "probe", "delete")),
    }
    assert wanted <= {" ".join(path) for path in LEAVES}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_command_says_what_it_does_with_an_example_and_its_exit_codes(
    keybroker: Keybroker, path: tuple[str, ...]
) -> None:
    result = keybroker(*path, "--help")
    assert result.code == Exit.OK
    assert f"keybroker {' '.join(path)}" in result.out.partition("Examples:")[2]
    assert f"{Exit.OK:>3}  {MEANINGS[Exit.OK]}" in result.out
    assert f"{Exit.USAGE:>3}  " in result.out
    summary = result.out.splitlines()[2].strip()
    assert summary.endswith(".") or path == ("classify",)


@pytest.mark.parametrize("path", [path for path in ALL if path not in LEAVES], ids=" ".join)
def test_a_name_alone_shows_its_help_as_vault_does(
    keybroker: Keybroker, path: tuple[str, ...]
) -> None:
    result = keybroker(*path)
    assert result.code == int(Exit.NO_COMMAND) == 127
    assert result.out == ""
    assert "Commands:" in result.err
    assert "..." not in result.err.partition("Commands:")[2]
    assert keybroker(*path, "--help").out.strip() == result.err.strip()


def test_the_version_is_told(keybroker: Keybroker) -> None:
    result = keybroker("--version")
    assert result.code == Exit.OK
    assert result.out.startswith("keybroker ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["staus"], "'status'? See 'keybroker --help'"),
        (["keys", "lst"], "'list'"),
        (["status", "--adress", "x"], "--address"),
        (["keys", "show"], "KEY_ID"),
        (["status", "--format", "yaml"], "--format"),
        (["status", "--timeout", "0"], "--timeout"),
        (["models", "--limit", "0"], "--limit"),
        (["check", "--require", "some"], "--require"),
    ],
)
def test_a_wrong_argument_is_one_sentence_with_advice(
    keybroker: Keybroker, arguments: list[str], said: str
) -> None:
    result = keybroker(*arguments)
    assert result.code == Exit.USAGE
    assert result.out == ""
    assert said in result.err
    assert result.err.startswith("keybroker: ")
    assert "--help'" in result.err
    assert len(result.err.splitlines()) == 1


def test_the_usage_names_arguments_without_the_types_that_they_have_in_python(
    keybroker: Keybroker,
) -> None:
    shown = keybroker("tenants", "policy", "get", "--help").out
    assert shown.startswith("Usage: keybroker tenants policy get [OPTIONS] TENANT [PROVIDER]\n")
    assert "<str>" not in shown
    assert "  TENANT    The tenant.  [required]\n" in shown


def test_an_option_without_its_value_is_told_with_the_command_that_it_is_of(
    keybroker: Keybroker,
) -> None:
    assert keybroker("keys", "list", "--tenant").err.endswith("see 'keybroker keys list --help'\n")


def test_arguments_too_many_are_not_repeated_since_they_may_be_secrets(
    keybroker: Keybroker,
) -> None:
    result = keybroker("keys", "rotate", "acme-1", "sk-canary-0123456789")
    assert result.code == Exit.USAGE
    assert "canary" not in result.err
    assert "standard input" in result.err


def test_help_imports_no_command_and_so_is_there_at_once() -> None:
    """Importing gRPC, pydantic or the server would be felt at every call."""
    code = (
        "import sys; from broker.cli.main import run; run(['--help']);"
        "print(sorted({'grpc', 'google.protobuf', 'pydantic', 'uvloop'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_exit_codes_are_distinct_and_each_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)
    assert len(set(MEANINGS.values())) == len(Exit)


def test_the_first_page_names_every_command(keybroker: Keybroker) -> None:
    shown = keybroker("--help").out
    for name, entry in COMMANDS.items():
        assert f"{name} " in shown
        assert entry.help in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "show", "\udcff"],
        ["circuits", "clear", "--key", "\udcff"],
        ["status", "--address", "\udcff:1"],
        ["keys", "update", "k", "--base-url", "\udcff"],
        ["keys", "update", "k", "--concurrency", "99999999999999999999"],
        ["keys", "update", "k", "--tokens-per-minute", "99999999999999999999"],
    ],
)
def test_what_does_not_fit_into_a_request_is_told(
    keybroker: Keybroker, arguments: list[str]
) -> None:
    result = keybroker(*arguments)
    assert result.code == Exit.USAGE
    assert len(result.err.splitlines()) == 1
