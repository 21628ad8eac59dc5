"""One line of provider knowledge: what an answer must look like to mean a kind."""

from dataclasses import dataclass

from broker.core.verdicts.phrase import Wording
from broker.core.words import Evidence, Kind, QuotaWindow, ScopeKind


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
        return any(
            value.startswith(self.heads)
            or value.endswith(self.tails)
            or any(middle in value for middle in self.middles)
            for value in values
        )


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
