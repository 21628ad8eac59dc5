"""A provider's answer as rules see it: named fields and the provider's own words."""

from collections.abc import Iterator
from typing import Final

from broker.core.verdicts.body import Body, read_json_text
from broker.core.verdicts.cuttext import CutText
from broker.core.verdicts.dialect import EACH, ErrorSites, JsonPath, SuccessMark
from broker.core.verdicts.phrase import MAX_MESSAGE_CHARS

MAX_LEAVES: Final = 32
"""How many values one path collects out of arrays."""

MAX_NESTING: Final = 2
"""How many times an error body is looked for inside a string of another."""


class Answer:
    """One error body: its fields are read when a rule asks, and kept.

    `message` is lower-case and stripped; CutText when its end is missing or was not looked at.
    """

    __slots__ = ("_fields", "_root", "_sites", "message")

    def __init__(self, sites: ErrorSites, root: dict[str, object] | None, words: str = "") -> None:
        self._sites = sites
        self._root = root
        self._fields: dict[str, tuple[str, ...]] = {}
        self.message = _normal(words if root is None else _first_text(root, sites.message))

    def field(self, name: str) -> tuple[str, ...]:
        """The lower-case values of a field that the dialect names; none when it is absent.

        A value whose end was cut off is left out: it may begin like a word without being it.
        """
        values = self._fields.get(name)
        if values is None:
            values = self._fields[name] = tuple(
                text.lower()
                for path in self._sites.fields.get(name, ())
                for text in self.texts_at(path)
                if not isinstance(text, CutText)
            )
        return values

    def texts_at(self, path: JsonPath) -> list[str]:
        """The strings and numbers at `path`, as texts."""
        return [text for leaf in leaves(self._root, path) if (text := as_text(leaf))]


def answers(sites: ErrorSites, body: Body) -> tuple[Answer, ...]:
    """Every error body in an answer, the innermost first: it is what the upstream said itself."""
    if body.words:
        return (Answer(sites, None, body.words),)
    return tuple(
        Answer(sites, layer) for root in body.roots for layer in reversed(_layers(sites, root))
    )


def is_marked(root: dict[str, object], marks: tuple[SuccessMark, ...]) -> bool:
    """Whether a body that came with a success status tells of an error."""
    return any(_has_mark(leaf, mark) for mark in marks for leaf in leaves(root, mark.path))


def leaves(root: object, path: JsonPath) -> list[object]:
    """The values at `path`: several where it passes through an array, none where it ends early."""
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
