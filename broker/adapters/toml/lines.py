"""On which line of a TOML file something stands: its parser does not say.

The text has been parsed already, so it is well-formed: it is enough to follow table headers and the
first key of each statement, past values that span lines.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[^=\s]+)*)\s*=""")
_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TOKEN: Final = re.compile(
    r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[\[\]{}]|#[^\n]*', re.DOTALL
)


class Place(NamedTuple):
    """A provider's table, counted from 0, or one of its fields by its path; "" is the table."""

    provider: str
    number: int = 0
    field: str = ""


def lines_of(text: str) -> Mapping[Place, int]:
    """The line, from 1, of each table of the first level and of each of their fields."""
    found: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table, prefix = Place(""), list[str]()
    for line, statement in _statements(text):
        header = _HEADER.match(statement)
        if header:
            name, *rest = _parts(header[2])
            if header[1] == "[[" and not rest:
                counts[name] = counts.get(name, -1) + 1
            table, prefix = Place(name, max(counts.get(name, 0), 0)), rest
            found.setdefault(table._replace(field=".".join(prefix)), line)
            continue
        key = _KEY.match(statement)
        if key:
            path = [*prefix, *_parts(key[1])]
            for end in range(1, len(path) + 1):
                field = ".".join(path[:end])
                place = table._replace(field=field) if table.provider else Place(field)
                found.setdefault(place, line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each line that begins a statement, with its number."""
    depth, closes = 0, ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if depth == 0 and not closes:
            yield number, line
            if _HEADER.match(line):
                continue
        depth, closes = _after(line, depth, closes)


def _after(line: str, depth: int, closes: str) -> tuple[int, str]:
    """How many brackets are open after a line, and which quotes would close its long string."""
    at = 0
    while True:
        if closes:
            end = _end_of_long(line, at, closes)
            if end < 0:
                return depth, closes
            at, closes = end, ""
        token = _TOKEN.search(line, at)
        if token is None:
            return depth, closes
        at, found = token.end(), token[0]
        if found in {'"""', "'''"}:
            closes = found
        elif found in {"[", "{"}:
            depth += 1
        elif found in {"]", "}"}:
            depth = max(depth - 1, 0)


def _end_of_long(line: str, at: int, closes: str) -> int:
    """Where a long string ends on a line; below 0 when it goes on."""
    while (found := line.find(closes, at)) >= 0:
        escapes = len(line[:found]) - len(line[:found].rstrip("\\"))
        if closes == "'''" or escapes % 2 == 0:
            return found + len(closes)
        at = found + 1
    return -1


def _parts(name: str) -> list[str]:
    """The parts of a dotted name, unquoted."""
    return [part.strip("\"'") for part in _PART.findall(name)] or [""]
