"""Reads a secret from where nobody else sees it: a file, standard input or a hidden prompt."""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from broker.cli.exits import CommandError, Exit
from broker.core.secret import Secret

MAX_CHARS: Final = 8192

SECRET_FILE = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        metavar="FILE",
        help="File with the secret, - for standard input.  [default: standard input; at a"
        " terminal a prompt that shows nothing]",
    ),
]

ON_COMMAND_LINE: Final = (
    "a secret on the command line is seen by everybody on this machine, and kept in the shell's"
    " history: consider this one known, and give its successor by standard input, --secret-file"
    " or the prompt"
)


def _refuse(value: str | None) -> None:
    if value is not None:
        raise CommandError(Exit.USAGE, ON_COMMAND_LINE)


NO_SECRET = Annotated[
    str | None,
    typer.Option("--secret", "--key", "--api-key", "--token", hidden=True, callback=_refuse),
]
"""What people try who know other tools: it is refused with advice, and its value shown nowhere."""


def read_secret(file: Path | None) -> Secret:
    """The one line that is the secret; raises CommandError, which holds nothing of it."""
    is_prompted = file is None and sys.stdin is not None and sys.stdin.isatty()
    if is_prompted:
        text, where = _prompt(), "the prompt"
    elif file is None or str(file) == "-":
        text, where = _standard_input(), "standard input"
    else:
        text, where = _file(file), f"--secret-file {file}"
    text = text.strip("\r\n \t")
    if not text:
        raise CommandError(Exit.USAGE, f"{where} holds no secret; give it on one line")
    if len(text.splitlines()) > 1:
        raise CommandError(Exit.USAGE, f"{where} has several lines; give one secret on one line")
    if not all("!" <= c <= "~" for c in text):
        problem = "a character that no secret has: only printable ASCII without spaces"
        raise CommandError(Exit.USAGE, f"{where} holds {problem}")
    if len(text) > MAX_CHARS:
        raise CommandError(Exit.USAGE, f"{where} holds more than {MAX_CHARS} characters")
    return Secret(text)


def _prompt() -> str:
    try:
        return getpass.getpass("Secret (not shown): ", stream=sys.stderr)
    except EOFError:
        return ""


def _standard_input() -> str:
    try:
        data = sys.stdin.buffer.read(2 * MAX_CHARS)
    except (AttributeError, OSError, ValueError):
        problem = "standard input is closed; pipe the secret in, or give --secret-file"
        raise CommandError(Exit.USAGE, problem) from None
    return data.decode("latin-1")


def _file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(2 * MAX_CHARS).decode("latin-1")
    except OSError as error:
        problem = error.strerror or type(error).__name__
        message = f"--secret-file {file} cannot be read ({problem}); correct the path"
        raise CommandError(Exit.USAGE, message) from None
