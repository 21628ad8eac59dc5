"""How the places are that tenants' keys come from: a database that is shared, another's table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from broker.services.freshness import Freshness


class Table(Protocol):
    """Another system's table of tenants' keys."""

    @property
    def source(self) -> str:
        """Its name."""
        ...

    @property
    def read_at(self) -> float | None:
        """When it was last read well, None if it never was."""
        ...

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with it and with its rows, one sentence each."""
        ...


@dataclass(frozen=True, slots=True)
class TenantSource:
    """One of them: up to when it is known, and until when that is believed."""

    source: str
    faults: tuple[str, ...]
    known_at: float | None
    expires_at: float | None
    is_stale: bool


@dataclass(frozen=True, slots=True)
class TenantSources:
    """Shows them; a database that this broker has to itself is none, it can miss nothing there."""

    freshness: Freshness
    store_fault: Callable[[], str]
    table: Table | None = None

    def now(self) -> Iterator[TenantSource]:
        """Each as it is now."""
        if not self.freshness.is_alone:
            fault = self.store_fault()
            yield self._of("database", (fault,) if fault else (), self.freshness.confirmed_at)
        if self.table is not None:
            yield self._of(self.table.source, self.table.faults, self.table.read_at)

    def _of(self, source: str, faults: tuple[str, ...], known_at: float | None) -> TenantSource:
        if known_at is None:
            return TenantSource(source, faults, None, None, is_stale=False)
        is_stale = self.freshness.is_stale(known_at)
        expires_at = known_at + self.freshness.max_stale_s
        return TenantSource(source, faults, known_at, expires_at, is_stale)
