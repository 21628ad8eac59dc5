"""Reads `.env` files, and says of each bad line which one it is and what is wrong.

One assignment a line: `NAME=value`, with `export` before it if one likes. A value ends at ` #`, or
stands in quotes: single ones keep everything, double ones know backslash escapes. A quoted value
may span lines. Nothing is expanded: a `$` in a secret is a `$`.
"""

import re
from typing import Final

from broker.adapters.env.assignment import Assignment
from broker.adapters.sources.fault import Fault

_ASSIGNMENT: Final = re.compile(r"(?:export\s+)?([A-Za-z0-9_.-]+)\s*=\s*(.*)", re.DOTALL)
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_QUOTED: Final = {
    "'": re.compile(r"'([^']*)'\s*(?:#.*)?"),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.DOTALL),
}
_ESCAPE: Final = re.compile(r"\\([nrt\"'\\])")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_NOT_UTF_8: Final = re.compile("[\udc80-\udcff]")

_MAX_QUOTED_LINES: Final = 200
"""How far the end of a quoted value is looked for: further than any certificate is long."""


def read_dotenv(data: bytes) -> tuple[list[Assignment], list[Fault]]:
    """All assignments in order, repeated and empty ones too, and the lines that are none."""
    assignments: list[Assignment] = []
    faults: list[Fault] = []
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return assignments, [Fault(1, "the file is UTF-16: save it as UTF-8")]
    lines = [
        line.decode("utf-8", "surrogateescape").strip()
        for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    ]
    index = 0
    while index < len(lines):
        entry, used = _read_entry(lines, index)
        index += used
        if isinstance(entry, Assignment):
            assignments.append(entry)
        elif entry is not None:
            faults.append(entry)
    return assignments, faults


def _read_entry(lines: list[str], index: int) -> tuple[Assignment | Fault | None, int]:
    """What begins on a line, and how many lines it takes."""
    line, number = lines[index], index + 1
    if not line or line.startswith("#"):
        return None, 1
    if "\0" in line:
        return Fault(number, "has a NUL byte"), 1
    if _NOT_UTF_8.search(line):
        return Fault(number, "is not UTF-8"), 1
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        return Fault(number, "is not NAME=value"), 1
    name, value = match.groups()
    quoted = _QUOTED.get(value[:1])
    if quoted is None:
        return Assignment(name, _COMMENT.sub("", value).rstrip(), number), 1
    for used in range(1, _MAX_QUOTED_LINES):
        whole = quoted.fullmatch(value)
        if whole is not None:
            text = whole[1] if value.startswith("'") else _ESCAPE.sub(_unescaped, whole[1])
            return Assignment(name, text, number), used
        if index + used == len(lines):
            break
        value += "\n" + lines[index + used]
    return Fault(number, "has a quote that is not closed, or text after the closing one"), 1


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])
