"""Operators' marks as decisions read them: what is disabled, what is revoked."""

import asyncio
from dataclasses import dataclass

from broker.core.lease_token import LeaseClaims
from broker.ports.clock import Clock
from broker.ports.mark_store import Mark, MarkKind, MarkStore


@dataclass(frozen=True, slots=True)
class MarkChanges:
    """Marks that another broker set or lifted."""

    put: tuple[Mark, ...]
    lifted: tuple[Mark, ...]


class Marks:
    """The marks of the store, held here so that no decision waits for it.

    Who sets or lifts several at once, and tells what follows, takes the `turn`.
    """

    def __init__(self, store: MarkStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._marks: dict[tuple[MarkKind, str], Mark] = {}
        self._changes = 0
        self.turn = asyncio.Lock()

    async def load(self) -> MarkChanges:
        """Read all marks anew; what has changed. Raises StoreUnavailableError.

        What is changed here meanwhile stays, and has them read once more.
        """
        while True:
            changes = self._changes
            read = {(mark.kind, mark.subject): mark for mark in await self._store.marks()}
            if changes == self._changes:
                break
        before, self._marks = self._marks, read
        return MarkChanges(
            put=tuple(mark for name, mark in read.items() if before.get(name) != mark),
            lifted=tuple(mark for name, mark in before.items() if name not in read),
        )

    async def put(self, kind: MarkKind, subject: str, principal: str, reason: str = "") -> Mark:
        """Set a mark: durable first, then in force here. Raises StoreUnavailableError."""
        mark = Mark(kind, subject, self._clock.now(), principal, reason)
        await self._store.put(mark)
        self._changes += 1
        self._marks[kind, subject] = mark
        return mark

    async def remove(self, kind: MarkKind, subject: str) -> bool:
        """Lift a mark; say whether it was set. Raises StoreUnavailableError."""
        await self._store.remove(kind, subject)
        self._changes += 1
        return self._marks.pop((kind, subject), None) is not None

    def find(self, kind: MarkKind, subject: str) -> Mark | None:
        """The subject's mark of this kind."""
        return self._marks.get((kind, subject))

    def all(self) -> list[Mark]:
        """Every mark there is."""
        return list(self._marks.values())

    def disabled_key(self, key_id: str) -> Mark | None:
        """The mark that disables a key."""
        return self._marks.get((MarkKind.KEY_DISABLED, key_id)) if self._marks else None

    def disabled_upstream(self, provider: str, model: str) -> Mark | None:
        """The mark that disables a model of a provider, or the whole provider."""
        if not self._marks:
            return None
        whole = self._marks.get((MarkKind.UPSTREAM_DISABLED, f"{provider}/"))
        return whole or self._marks.get((MarkKind.UPSTREAM_DISABLED, f"{provider}/{model}"))

    def disabled_upstreams(self) -> list[Mark]:
        """All marks that disable an upstream, by subject."""
        marks = self._marks.values()
        found = [mark for mark in marks if mark.kind is MarkKind.UPSTREAM_DISABLED]
        return sorted(found, key=lambda mark: mark.subject)

    def is_revoked(self, claims: LeaseClaims) -> bool:
        """Was the lease first granted before its key, tenant or principal was revoked?"""
        if not self._marks:
            return False
        subjects = (
            (MarkKind.KEY_REVOKED, claims.key_id),
            (MarkKind.TENANT_REVOKED, claims.tenant),
            (MarkKind.PRINCIPAL_REVOKED, claims.principal),
        )
        marks = (self._marks.get(subject) for subject in subjects)
        return any(mark is not None and claims.first_granted_at <= mark.at for mark in marks)
