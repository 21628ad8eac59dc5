"""Lines of a file that may be anything, one at a time; what is wrong with one is told."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from broker.adapters.sources.fault import Fault

MAX_LINE_BYTES: Final = 1024 * 1024
"""More than any key takes, with all that may be set on it."""

UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
BOM: Final = b"\xef\xbb\xbf"

_CONTROL: Final = re.compile(r"[\x01-\x08\x0b-\x1f\x7f]")


class Line(NamedTuple):
    """A line by its number, from 1, without its end."""

    number: int
    text: str


def read_lines(file: BinaryIO) -> Iterator[Line | Fault]:
    """The lines that are not empty, and in place of those that are no text what is wrong.

    Raises OSError.
    """
    number = 0
    while data := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        is_whole = data.endswith(b"\n") or len(data) <= MAX_LINE_BYTES
        if number == 1 and data.startswith(UTF_16):
            yield Fault(1, "the file is UTF-16: save it as UTF-8")
            return
        if not is_whole:
            _skip_rest(file)
            yield Fault(number, f"is longer than {MAX_LINE_BYTES >> 20} MiB")
            continue
        found = _line(number, data.removeprefix(BOM) if number == 1 else data)
        if found is not None:
            yield found


def _skip_rest(file: BinaryIO) -> None:
    """Read on to the end of a line, which may be that of the file."""
    while (data := file.readline(MAX_LINE_BYTES)) and not data.endswith(b"\n"):
        pass


def _line(number: int, data: bytes) -> Line | Fault | None:
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return Fault(number, "is not UTF-8")
    if "\0" in text:
        return Fault(number, "has a NUL byte")
    if _CONTROL.search(text):
        return Fault(number, "has control characters: remove them, and end lines with LF or CRLF")
    return Line(number, text) if text.strip() else None
