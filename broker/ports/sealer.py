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
        """Seal a secret so that it opens for this binding alone. Raises SealClosedError."""
        ...

    async def open(self, sealed: SealedSecret, binding: Binding) -> Secret:
        """Open a secret.

        Raises SealClosedError, and SealBrokenError for what is damaged, was moved or was sealed by
        another key.
        """
        ...
