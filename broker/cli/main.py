"""The command itself: from arguments to an exit code, without a traceback."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from broker.cli.completion_setup import COMPLETE_VARIABLE, set_up_completion
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import RootGroup
from broker.cli.options import RootOptions, with_options
from broker.cli.plain import plain

PROGRAM = "keybroker"

app = typer.Typer(
    cls=RootGroup,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:  # noqa: FBT001 - so typer calls it
    if is_asked:
        typer.echo(f"{PROGRAM} {package_version('keybroker-server')}")
        raise typer.Exit


@app.callback(epilog="'keybroker COMMAND --help' shows examples and exit codes.")
@with_options
def root(
    _options: RootOptions,
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Lease provider API keys to LLM gateways, and learn from their outcomes.

    The commands call a broker at 127.0.0.1:50051, or where --address says, but for serve, check,
    config, classify and completion, which need none. Beyond loopback they speak TLS, on loopback
    with --ca or https:// in the address; a token is never sent in the clear. The options also
    stand after a command's name.
    """


def main() -> None:
    """Run the command that the process was started with."""
    _mend_streams()
    sys.exit(run(sys.argv[1:]))


def _mend_streams() -> None:
    """Let nothing fail because a stream was closed, or cannot write a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, nowhere)
        else:
            stream.reconfigure(errors="backslashreplace")


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code."""
    if os.environ.get(COMPLETE_VARIABLE):
        set_up_completion()
    try:
        code = get_command(app).main(
            arguments, PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False
        )
    except CommandError as error:
        return _complain(error.message, error.code)
    except typer.TyperException as error:
        return _complain(_usage(error), Exit.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        code = Exit.INTERRUPTED
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        return _complain(_bug(error), Exit.FAILED)
    if code == Exit.INTERRUPTED and sys.stderr is not None and sys.stderr.isatty():
        typer.echo(err=True)
    return int(code) if isinstance(code, int) else Exit.OK


def _complain(message: str, code: Exit) -> int:
    """Say what is wrong, in one line."""
    with suppress(OSError):
        typer.echo(f"{PROGRAM}: {plain(message)}", err=True)
    return code


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the arguments, and where they are explained."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else PROGRAM
    message = " ".join(error.format_message().split()).removesuffix(".")
    see = " See" if message.endswith("?") else "; see"
    return f"{message[:1].lower()}{message[1:]}{see} '{path} --help'"


def _bug(error: Exception) -> str:
    """Where something broke that nobody foresaw; its text may hold a secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return (
        f"a bug in this command, {type(error).__name__} at {where}; please report it, and run"
        " 'python -X dev -m broker' with the same arguments for the details"
    )
