"""A provider's answer as rules see it: named fields and the provider's own words."""

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

from broker.core.verdicts.body import Body, read_json_text
from broker.core.verdicts.cuttext import CutText
from broker.core.verdicts.dialect import EACH, ErrorSites, JsonPath, SuccessMark
from broker.core.verdicts.phrase import MAX_MESSAGE_CHARS

MAX_LEAVES: Final = 32
"""How many values one path collects out of arrays."""

MAX_ANSWERS: Final = 8
"""How many error bodies of one answer the rules look at."""

MAX_NESTING: Final = 2
"""How many times an error body is looked for inside a string of another."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Answer:
    """One error body: its fields are read when a rule asks, and kept.

    `message` is lower-case and stripped; CutText when its end is missing or was not looked at.
    """

    __slots__ = ("_error_name", "_fields", "_headers", "_root", "_sites", "message")

    def __init__(
        self,
        sites: ErrorSites,
        root: dict[str, object] | None,
        words: str = "",
        headers: Mapping[str, str] = _NO_HEADERS,
        error_name: str = "",
    ) -> None:
        self._sites = sites
        self._error_name = error_name
        self._headers = headers
        self._root = root
        self._fields: dict[str, tuple[str, ...]] = {}
        self.message = _normal(words if root is None else _first_text(root, sites.message))

    def field(self, name: str) -> tuple[str, ...]:
        """The lower-case values of a field that the dialect names; none when it is absent.

        A value whose end was cut off is left out: it may begin like a word without being it. So is
        one that is too long for a word.
        """
        values = self._fields.get(name)
        if values is None:
            values = self._fields[name] = tuple(
                [
                    text.lower()
                    for text in self._texts_of(name)
                    if len(text) <= MAX_MESSAGE_CHARS and not isinstance(text, CutText)
                ]
            )
        return values

    def _texts_of(self, name: str) -> list[str]:
        texts: list[str] = []
        for path in self._sites.fields.get(name, ()):
            texts += self.texts_at(path)
        for header in self._sites.headers.get(name, ()):
            if header in self._headers:
                texts.append(self._headers[header].strip())
        if self._error_name and name == self._sites.error_name:
            texts.append(self._error_name)
        return texts

    def texts_at(self, path: JsonPath) -> list[str]:
        """The strings and numbers at `path`, as texts."""
        return [text for leaf in leaves(self._root, path) if (text := as_text(leaf))]


def answers(
    sites: ErrorSites, body: Body, headers: Mapping[str, str] = _NO_HEADERS
) -> tuple[Answer, ...]:
    """Every error body in an answer, the innermost first: it is what the upstream said itself.

    There is always one, so that headers are read where the body says nothing.
    """
    layers = (layer for root in body.roots for layer in reversed(_layers(sites, root)))
    found = tuple(Answer(sites, layer, "", headers) for layer in islice(layers, MAX_ANSWERS))
    return found or (Answer(sites, None, body.words, headers, body.error_name),)


def status_within(sites: ErrorSites, root: dict[str, object]) -> int | None:
    """The HTTP status that an error body names itself; None when there is none of an error."""
    for path in sites.status:
        for leaf in leaves(root, path):
            text = as_text(leaf)
            if len(text) == 3 and text.isdecimal() and text.isascii() and "400" <= text <= "599":
                return int(text)
    return None


def is_marked(root: dict[str, object], marks: tuple[SuccessMark, ...]) -> bool:
    """Whether a body that came with a success status tells of an error."""
    return any(_has_mark(leaf, mark) for mark in marks for leaf in leaves(root, mark.path))


def leaves(root: object, path: JsonPath) -> list[object]:
    """The values at `path`: several where it passes through an array, none where it ends early."""
    if EACH in path:
        return _many_leaves(root, path)
    for step in path:
        if not isinstance(root, dict) or step not in root:
            return []
        root = root[step]
    return [root]


def _many_leaves(root: object, path: JsonPath) -> list[object]:
    values = [root]
    for step in path:
        if step == EACH:
            values = [v for value in values if isinstance(value, list) for v in value[:MAX_LEAVES]]
        else:
            values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return values[:MAX_LEAVES]


def as_text(leaf: object) -> str:
    """A string or number as text; "" for anything else."""
    if isinstance(leaf, str):
        return leaf
    if isinstance(leaf, int | float) and not isinstance(leaf, bool):
        return str(leaf)
    return ""


def _layers(sites: ErrorSites, root: dict[str, object]) -> list[dict[str, object]]:
    layers = [root]
    for depth in range(MAX_NESTING):
        inner = list(_nested(sites, layers[depth]))
        if not inner:
            break
        layers.append(inner[0])
    return layers


def _nested(sites: ErrorSites, root: dict[str, object]) -> Iterator[dict[str, object]]:
    for path in sites.nested:
        for leaf in leaves(root, path):
            if isinstance(leaf, dict):
                yield leaf
            elif isinstance(leaf, str):
                yield from read_json_text(leaf)


def _first_text(root: dict[str, object], paths: tuple[JsonPath, ...]) -> str:
    for path in paths:
        for leaf in leaves(root, path):
            if isinstance(leaf, str) and leaf:
                return leaf
    return ""


def _has_mark(leaf: object, mark: SuccessMark) -> bool:
    if mark.equals:
        return as_text(leaf) == mark.equals
    if mark.differs:
        return as_text(leaf) not in ("", mark.differs)
    return bool(leaf)


def _normal(text: str) -> str:
    head = text[:MAX_MESSAGE_CHARS].strip().lower()
    return CutText(head) if len(text) > MAX_MESSAGE_CHARS or isinstance(text, CutText) else head
