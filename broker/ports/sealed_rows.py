"""Everything that is sealed, row by row, whatever it is: for sealing it anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.core.sealed import Binding, SealedSecret


@dataclass(frozen=True, slots=True, order=True)
class RowName:
    """Which row: `table` is the store's own word, (key id, revision) tell its rows apart."""

    table: str
    key_id: str
    revision: str


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A sealed secret, and what it is bound to."""

    name: RowName
    binding: Binding
    sealed: SealedSecret


@dataclass(frozen=True, slots=True)
class Resealed:
    """A row's secret sealed anew; `before` is what it replaces."""

    name: RowName
    before: SealedSecret
    after: SealedSecret


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that is gone; `was_last` says that a tenant's key went with it."""

    row: SealedRow
    was_last: bool = False


class SealedRows(Protocol):
    """All sealed rows. All methods raise StoreUnavailableError."""

    async def counts(self) -> Mapping[str, int]:
        """How many rows each sealing key has sealed, by its id."""
        ...

    async def sealed_by(self) -> frozenset[str]:
        """The ids of all keys that sealed something; at once, however many rows there are."""
        ...

    async def page(
        self, after: RowName | None, limit: int, *, not_by: str = "", by: str = ""
    ) -> Sequence[SealedRow]:
        """Up to `limit` rows by name, those after `after`.

        With `not_by` none that this key sealed, with `by` only those that it did. A row that makes
        no sense is there too, as one that does not open.
        """
        ...

    async def replace(self, resealed: Sequence[Resealed]) -> int:
        """Replace secrets, each only if it is still as it was before; how many were.

        All of it at once, durable on return.
        """
        ...

    async def drop(self, rows: Sequence[SealedRow]) -> Sequence[Dropped]:
        """Forget rows, each only if it is still as it was; those that were, durable on return.

        With the last revision of a tenant's key its key goes too.
        """
        ...
