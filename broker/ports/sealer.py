"""Keeping secrets at rest so that the database alone gives none away."""

from typing import Protocol

from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret


class Sealer(Protocol):
    """Seals and opens secrets with the sealing key."""

    @property
    def fault(self) -> str:
        """Why nothing can be sealed or opened, and what to do; "" when it can. Does not block."""
        ...

    async def seal(self, secret: Secret, binding: Binding) -> SealedSecret:
        """Seal a secret so that it opens for this binding alone.

        Raises SealClosedError and SealUnavailableError.
        """
        ...

    async def open(self, sealed: SealedSecret, binding: Binding) -> Secret:
        """Open a secret.

        Raises SealClosedError, SealBrokenError for what is damaged, was moved or was sealed by
        another key, and SealUnavailableError where the service that keeps the key does not answer.
        """
        ...


class SealingKeys(Protocol):
    """The sealing keys of a sealer: one of them seals, all of them open.

    Only `prove` waits for a service that keeps keys.
    """

    @property
    def current(self) -> str:
        """The id of the key that seals; "" while the sealer is closed."""
        ...

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all keys at hand; one that a service keeps is when it has answered."""
        ...

    @property
    def named(self) -> frozenset[str]:
        """The ids of all keys that settings name, or once were at hand: none of them is lost."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong where keys are kept though those at hand do, and what to do; else ""."""
        ...

    @property
    def generation(self) -> int:
        """Grows when keys come to hand: what did not open before may open now."""
        ...

    def use(self, key_id: str) -> bool:
        """Seal with this key from now on; False where it is not at hand.

        Then nothing is sealed until it is, and `fault` says so.
        """
        ...

    async def refresh(self) -> None:
        """Take the keys that have come to where they are kept; those at hand stay.

        A sealer that was closed opens when the right key is there.
        """
        ...

    async def settle(self, sealed_by: frozenset[str]) -> None:
        """Be told which keys sealed all that is kept; a closed sealer may open by that.

        Where nothing is kept and no key is there, one may be made.
        """
        ...

    async def prove(self, key_id: str) -> None:
        """Wrap and unwrap something. Raises SealKeyMissing- and SealUnavailableError."""
        ...

    async def make(self) -> str:
        """Make a key where the others are kept, durable on return, and take it; its id.

        It seals nothing yet. Raises SealClosedError with what to do where none can be made here.
        """
        ...


class RotatingSealer(Sealer, SealingKeys, Protocol):
    """A sealer with its keys."""
