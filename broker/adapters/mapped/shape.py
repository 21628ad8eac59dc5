"""How another system's table is to be read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

COLUMNS: Final = (
    "tenant",
    "provider",
    "secret",
    "key_id",
    "models",
    "weight",
    "priority",
    "account",
    "expires_at",
    "base_url",
    "enabled",
    "updated_at",
)
"""What the broker may want to know of a key, in its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A `table`, or a `query` with `:tenant` in it, and what its columns stand for.

    `columns` maps words of COLUMNS to theirs; `providers` maps their words for providers to ours,
    of which `known` are all.
    """

    table: str = ""
    query: str = ""
    columns: Mapping[str, str]
    providers: Mapping[str, str] = field(default_factory=dict)
    known: Collection[str]

    @property
    def name(self) -> str:
        """What it is called in faults and events."""
        return f"table {self.table}" if self.table else "the tenant query"

    def provider(self, word: object) -> str | None:
        """Our name for a provider of theirs."""
        text = str(word)
        for name in (self.providers.get(text), text, text.strip().lower()):
            if name in self.known:
                return name
        return None
