"""Opening a file of keys, and telling what it is."""

import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from io import BufferedReader
from pathlib import Path
from typing import Final

from broker.cli.exits import CommandError, Exit
from broker.cli.transfer.csv_rows import Found, read_csv
from broker.cli.transfer.env_rows import read_env
from broker.cli.transfer.json_rows import read_json_lines
from broker.cli.transfer.lines import BOM

_NAMES: Final = re.compile(rb"(?:export\s+)?[A-Za-z0-9_.-]+\s*=")
_PEEKED: Final = 64 * 1024


class Form(StrEnum):
    """What a file of keys is."""

    AUTO = "auto"
    ENV = "env"
    CSV = "csv"
    JSONL = "jsonl"


_SUFFIXES: Final = {
    ".env": Form.ENV,
    ".csv": Form.CSV,
    ".jsonl": Form.JSONL,
    ".ndjson": Form.JSONL,
    ".json": Form.JSONL,
}


@contextmanager
def opened(name: str) -> Iterator[BufferedReader]:
    """The file, or standard input for "-". Raises CommandError."""
    if name == "-":
        yield _standard_input()
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below, where other errors are not its
    except OSError as error:
        raise unreadable(name, error) from None
    with file:
        yield file


def unreadable(name: str, error: OSError) -> CommandError:
    """The end of a command whose file cannot be read."""
    problem = error.strerror or type(error).__name__
    return CommandError(Exit.USAGE, f"{name} cannot be read ({problem}); nothing was created")


def _standard_input() -> BufferedReader:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.closed:
        problem = "standard input is closed; pipe the keys in, or name a file"
        raise CommandError(Exit.USAGE, problem)
    return stream if isinstance(stream, BufferedReader) else BufferedReader(stream)


def form_of(name: str, file: BufferedReader) -> Form:
    """What a file is, by its name, else by its first line. Raises OSError."""
    path = Path(name)
    form = Form.ENV if path.name.startswith(".env") else _SUFFIXES.get(path.suffix.lower())
    if form is not None:
        return form
    lines = file.peek(_PEEKED).removeprefix(BOM).lstrip().split(b"\n")
    first = next((line for line in lines if line.strip() and not line.startswith(b"#")), b"")
    if first.startswith((b"{", b"[")):
        return Form.JSONL
    return Form.ENV if _NAMES.match(first) else Form.CSV


def read_keys(form: Form, file: BufferedReader, providers: Collection[str]) -> Iterator[Found]:
    """The keys, and the lines that are none. Raises OSError."""
    if form is Form.ENV:
        return read_env(file, providers)
    return read_csv(file) if form is Form.CSV else read_json_lines(file)
