"""One line of provider knowledge: what an answer must look like to mean a kind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from broker.core.verdicts.phrase import Wording
from broker.core.words import Evidence, Kind, QuotaWindow, ScopeKind

PROVIDER_STATUSES = frozenset({401, 402, 403, 429, 1008, 1011, 1013})
"""Answers that a caller's input does not cause, so that their text begins with no echo of it.

The last are the codes that close a WebSocket for a breach of policy, a fault of the server and an
overload (RFC 6455 7.4.1).
"""


@dataclass(frozen=True, slots=True)
class ValueTest:
    """Values of a structured field or header: whole words, or words with `*` at either end.

    All texts are lower-case.
    """

    name: str
    words: frozenset[str]
    heads: tuple[str, ...] = ()
    tails: tuple[str, ...] = ()
    middles: tuple[str, ...] = ()
    is_plain: bool = True

    @classmethod
    def of(cls, name: str, patterns: tuple[str, ...]) -> "ValueTest":
        """Read patterns: `word`, `head*`, `*tail` or `*middle*`."""
        lowered = [pattern.lower() for pattern in patterns]
        starred = [text for text in lowered if "*" in text]
        middles = [t for t in starred if t.startswith("*") and t.endswith("*")]
        ends = [t for t in starred if t not in middles]
        return cls(
            name,
            frozenset(text for text in lowered if "*" not in text),
            tuple(text[:-1] for text in ends if text.endswith("*")),
            tuple(text[1:] for text in ends if text.startswith("*")),
            tuple(text[1:-1] for text in middles),
            is_plain=not starred,
        )

    def accepts(self, values: tuple[str, ...]) -> bool:
        """Whether any of `values` (lower-case, none of them cut) passes."""
        if not self.words.isdisjoint(values):
            return True
        if self.is_plain:
            return False
        for value in values:
            if value.startswith(self.heads) or value.endswith(self.tails):
                return True
            for middle in self.middles:
                if middle in value:
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Rule:
    """All conditions must hold: the status, each field, each header, and the wording.

    `name` is `<file>:<rule>`. Empty conditions are met by anything. `page_marks` are texts of an
    HTML page, which no caller writes.
    """

    name: str
    kind: Kind
    scope: ScopeKind
    evidence: Evidence = Evidence.CERTAIN
    quota_window: QuotaWindow | None = None
    missing_auth: bool = False
    statuses: frozenset[int] = frozenset()
    fields: tuple[ValueTest, ...] = ()
    headers: tuple[ValueTest, ...] = ()
    wording: Wording | None = None
    page_marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shelf:
    """The rules that an answer with some status may match; `openings` are those of all wordings."""

    rules: tuple[Rule, ...]
    openings: tuple[str, ...]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "Shelf":
        """Put `rules` beside each other in their order."""
        shelved = tuple(rules)
        wordings = (rule.wording for rule in shelved if rule.wording is not None)
        return cls(shelved, tuple({text: None for words in wordings for text in words.openings}))


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Rules in their order, sorted by the status they may match so that few are looked at."""

    by_status: Mapping[int, Shelf]
    others: Shelf

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "RuleBook":
        """Sort `rules`; one without statuses stands under each."""
        everything = tuple(rules)
        named = frozenset(status for rule in everything for status in rule.statuses)
        by_status = {
            status: Shelf.of(r for r in everything if not r.statuses or status in r.statuses)
            for status in named
        }
        others = Shelf.of(rule for rule in everything if not rule.statuses)
        return cls(MappingProxyType(by_status), others)

    def under(self, status: int | None) -> Shelf:
        """The rules that an answer with `status` may match."""
        return self.others if status is None else self.by_status.get(status, self.others)
