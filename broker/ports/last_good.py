"""System keys' secrets that last worked, sealed: what a restart on a wrong secret serves from."""

from dataclasses import dataclass
from typing import Protocol

from broker.core.sealed import SealedSecret


@dataclass(frozen=True, slots=True)
class LastGood:
    """The revision of a system key that its provider accepted last, at that epoch second."""

    key_id: str
    provider: str
    revision: str
    sealed: SealedSecret
    authenticated_at: float


class LastGoodStore(Protocol):
    """One last good revision a system key; durable on return."""

    async def all(self) -> tuple[LastGood, ...]:
        """Every one there is. Raises StoreUnavailableError."""
        ...

    async def put(self, last_good: LastGood) -> None:
        """Keep it in place of the key's earlier one. Raises StoreUnavailableError."""
        ...

    async def remove(self, key_id: str) -> None:
        """Forget a key's; one that is not there is no fault. Raises StoreUnavailableError."""
        ...
