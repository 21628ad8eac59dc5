"""Changes of what is stored of a tenant: durable first, then in force, and never half told."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from broker.ports.errors import StoreUnavailableError
from broker.services.errors import ChangeUncertainError
from broker.services.tenants import Tenants

T = TypeVar("T")

IsMade = Callable[[], Awaitable[bool]]
"""Looks into the store whether a change is there."""


@dataclass(frozen=True, slots=True)
class Committing:
    """Makes changes one by one; what a lost answer leaves open is looked up."""

    tenants: Tenants

    async def commit(
        self, tenant: str, change: Awaitable[object], is_made: IsMade, what: str
    ) -> None:
        """Await a change of the store and have it in force; `what` was done, for a person.

        Raises StoreUnavailableError where the change was not made, ChangeUncertainError where that
        is not known. In every case decisions read the tenant anew.
        """
        await self.commit_all({tenant}, change, is_made, what)

    async def commit_all(
        self, tenants: Collection[str], change: Awaitable[object], is_made: IsMade, what: str
    ) -> None:
        """The same for a change of several tenants."""
        try:
            await change
        except StoreUnavailableError as error:
            self.tenants.doubt(*tenants)  # it may yet be made
            if not await _find_out(is_made, what, str(error)):
                raise


async def _find_out(is_made: IsMade, what: str, cause: str) -> bool:
    try:
        return await is_made()
    except StoreUnavailableError:
        raise ChangeUncertainError(what, cause) from None
