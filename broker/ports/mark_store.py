"""Operators' durable marks: what is disabled, and which leases are revoked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class MarkKind(StrEnum):
    """What a mark does to its subject."""

    KEY_DISABLED = "key_disabled"
    UPSTREAM_DISABLED = "upstream_disabled"
    KEY_REVOKED = "key_revoked"
    TENANT_REVOKED = "tenant_revoked"
    PRINCIPAL_REVOKED = "principal_revoked"


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: who set it when (epoch seconds) and why.

    `subject` is a key id, `provider/model` (or `provider/` for all of it), tenant or principal. A
    revocation ends leases granted before `at`.
    """

    kind: MarkKind
    subject: str
    at: float
    principal: str
    reason: str = ""


class MarkStore(Protocol):
    """The marks of the fleet."""

    async def marks(self) -> tuple[Mark, ...]:
        """All marks. Raises StoreUnavailableError."""
        ...

    async def put(self, mark: Mark) -> None:
        """Set a mark, replacing the subject's mark of the same kind; durable on return."""
        ...

    async def remove(self, kind: MarkKind, subject: str) -> None:
        """Lift a mark; lifting one that is not set is no fault."""
        ...
