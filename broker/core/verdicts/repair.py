"""Reads JSON that was cut off or printed by a client: whatever stands before the fault."""

import json
import re
from typing import Final

from broker.core.verdicts.cuttext import CutText

MAX_DEPTH: Final = 24
"""Error bodies nest about eight deep; deeper text is not one."""

MAX_VALUES: Final = 150
"""Bounds the time that a hostile body costs; errors stand in the first few dozen values."""

_SPACE = re.compile(r"(?:\s|…|\.{3})*+")
"""White space, and what people put where they left something out."""

_SCALAR = re.compile(r"[-+.\w]++")
_STRINGS = {
    '"': re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL),
    "'": re.compile(r"[^'\\]*+(?:\\.[^'\\]*+)*+", re.DOTALL),
}
_CUT_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{0,3}$")
_WORDS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_NOTHING: Final = object()


def repair(text: str) -> tuple[object, bool]:
    """The value `text` begins, and whether nothing but its end was missing.

    Takes Python's printed dicts too, as clients log them. Strings without an end are CutText;
    numbers and words without one are left out.
    """
    reader = _Reader(text)
    value = reader.value(0)
    reader.finish()
    return (None if value is _NOTHING else value), not reader.is_broken


class _Reader:
    """A recursive descent that stops at the first fault and keeps what it has."""

    __slots__ = ("_budget", "_position", "_text", "is_broken", "is_stopped")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._budget = MAX_VALUES
        self.is_stopped = False
        self.is_broken = False

    def value(self, depth: int) -> object:
        self._budget -= 1
        char = self._peek()
        if not char or self._budget < 0 or depth > MAX_DEPTH:
            self.is_stopped = True
            return _NOTHING
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        if char in _STRINGS:
            return self._string(char)
        return self._scalar()

    def finish(self) -> None:
        """Take words after a whole value for a fault: what began may have been an echo."""
        if not self.is_stopped:
            self.is_stopped = True
            self.is_broken = bool(self._text[self._position :].strip())

    def _object(self, depth: int) -> dict[str, object]:
        members: dict[str, object] = {}
        self._position += 1
        while not self.is_stopped:
            char = self._peek()
            if char == "}":
                self._position += 1
                break
            if char not in _STRINGS:
                self._stop()
                break
            key = self._string(char)
            if not self._take(":"):
                break
            member = self.value(depth + 1)
            if member is not _NOTHING:
                members.setdefault(key, member)
            self._separate("}")
        return members

    def _array(self, depth: int) -> list[object]:
        elements: list[object] = []
        self._position += 1
        while not self.is_stopped:
            if self._peek() == "]":
                self._position += 1
                break
            element = self.value(depth + 1)
            if element is not _NOTHING:
                elements.append(element)
            self._separate("]")
        return elements

    def _string(self, quote: str) -> str:
        start = self._position + 1
        match = _STRINGS[quote].match(self._text, start)
        end = match.end() if match else start
        inner = self._text[start:end]
        if quote == "'":
            inner = inner.replace("\\'", "'").replace('"', '\\"')
        if end < len(self._text) and self._text[end] == quote:
            self._position = end + 1
            return _unescape(inner)
        self._position = len(self._text)
        self.is_stopped = True
        return CutText(_unescape(_CUT_ESCAPE.sub("", inner)))

    def _scalar(self) -> object:
        match = _SCALAR.match(self._text, self._position)
        if match is None or match.end() == len(self._text):
            self._stop()
            self.is_broken = match is None
            return _NOTHING
        self._position = match.end()
        word = match.group()
        if word in _WORDS:
            return _WORDS[word]
        try:
            return (
                float(word) if "." in word or len(word) > len("-9223372036854775808") else int(word)
            )
        except ValueError:
            self.is_stopped = self.is_broken = True
            return _NOTHING

    def _peek(self) -> str:
        match = _SPACE.match(self._text, self._position)
        self._position = match.end() if match else self._position
        return self._text[self._position : self._position + 1]

    def _take(self, char: str) -> bool:
        if self._peek() == char:
            self._position += 1
            return True
        self._stop()
        return False

    def _separate(self, closer: str) -> None:
        if not self.is_stopped and self._peek() != closer:
            self._take(",")

    def _stop(self) -> None:
        self.is_stopped = True
        self.is_broken = bool(self._peek())


def _unescape(inner: str) -> str:
    if "\\" not in inner:
        return inner
    try:
        text = json.loads(f'"{inner}"', strict=False)
    except ValueError:
        return inner
    return text if isinstance(text, str) else inner
