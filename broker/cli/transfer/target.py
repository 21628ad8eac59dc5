"""Where an export goes: a file that appears whole, for its owner alone, or standard output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TextIO

from broker.cli.exits import CommandError, Exit


@contextmanager
def writing(file: Path | None, *, force: bool) -> Iterator[TextIO]:
    """A text file to write to; None is standard output.

    The file is there when this is left in order, and as it was before otherwise. With `force` it
    replaces one that is there. Raises CommandError.
    """
    if file is None:
        yield sys.stdout
        return
    if file.is_dir():
        raise CommandError(Exit.USAGE, f"{file} cannot be written (it is a folder); name a file")
    if not force and os.path.lexists(file):
        raise _exists(file)
    beside = file.with_name(f".{file.name}.{token_hex(4)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unwritable(file, error) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as text:
            yield text
            _finish(text, beside, file, force=force)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _finish(text: TextIO, beside: Path, file: Path, *, force: bool) -> None:
    """Have the file outlive a power failure, and put it in its place."""
    try:
        text.flush()
        os.fsync(text.fileno())
        if force:
            beside.replace(file)
        else:
            os.link(beside, file)  # unlike renaming, it replaces nothing that came meanwhile
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise _unwritable(file, error) from None


def _exists(file: Path) -> CommandError:
    return CommandError(Exit.USAGE, f"{file} is there already: name another, or say --force")


def _unwritable(file: Path, error: OSError) -> CommandError:
    problem = error.strerror or type(error).__name__
    return CommandError(Exit.USAGE, f"{file} cannot be written ({problem}); name another file")
