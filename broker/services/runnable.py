"""Which models a tenant could lease right now."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from broker.core.denial import Target
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.services.acquisition import AcquireRequest
from broker.services.filters import Filters
from broker.services.keyring import Keyring
from broker.services.paging import Page, Pager, PageRequest
from broker.services.routing import Routing
from broker.services.tenants import Tenants

_LIST = "runnable_models"


@dataclass(frozen=True, slots=True)
class RunnableModel:
    """A model that a lease would be granted for, and how many keys could serve it now."""

    target: Target
    provenance: Provenance
    key_count: int


@dataclass(frozen=True, slots=True)
class Runnable:
    """Lists models that are configured, or that an authenticated probe has listed.

    Models that merely worked once stay out: their names may be one tenant's own.
    """

    keyring: Keyring
    tenants: Tenants
    routing: Routing
    filters: Filters
    pager: Pager
    clock: Clock

    async def page(
        self, principal: str, tenant: str, provider: str, wanted: PageRequest
    ) -> Page[RunnableModel]:
        """One page by provider and name; raises ProviderUnknown- and PageTokenInvalidError.

        Counting keys takes long where there are thousands, so others run between two models. Raises
        StoreUnavailableError where the tenant must be read and cannot be.
        """
        names = [self.keyring.provider(provider).name] if provider else self.keyring.providers
        bound = (principal, tenant, provider)
        after = self.pager.cursor(_LIST, bound, wanted.token)
        limit, found = wanted.limit, list[RunnableModel]()
        async with self.tenants.using(tenant):
            targets = (target for target in self._targets(sorted(names), tenant) if target > after)
            async for model in self._runnable(targets, principal, tenant):
                found.append(model)
                if len(found) > limit:
                    last = found[limit - 1].target
                    return Page(tuple(found[:limit]), self.pager.token(_LIST, bound, *last))
        return Page(tuple(found))

    async def _runnable(
        self, targets: Iterator[Target], principal: str, tenant: str
    ) -> AsyncIterator[RunnableModel]:
        for target in targets:
            model = self._look_at(target, principal, tenant)
            if model is not None:
                yield model
            await asyncio.sleep(0)

    def _targets(self, providers: list[str], tenant: str) -> Iterator[Target]:
        for name in providers:
            owners = self.routing.owners(tenant, name)
            listed = (self.keyring.models.listed(name, owner) for owner in owners)
            yield from (Target(name, model) for model in sorted(frozenset().union(*listed)))

    def _look_at(self, target: Target, principal: str, tenant: str) -> RunnableModel | None:
        """Whose keys would serve the model, and how many could."""
        for owner in self.routing.owners(tenant, target.provider):
            key_count = self._count(target, principal, tenant, owner)
            if key_count:
                provenance = Provenance.TENANT if owner else Provenance.SYSTEM
                return RunnableModel(target, provenance, key_count)
            if owner and not self.routing.would_fall_through(target, principal, tenant):
                return None
        return None

    def _count(self, target: Target, principal: str, tenant: str, owner: str) -> int:
        request = AcquireRequest(target, tenant)
        look = self.filters.survey(target, principal, request, self.clock.now(), owner)
        keys = self.keyring.keys(target.provider, owner)
        candidates = self.filters.candidates(look, keys)
        return sum(self.filters.passes(look, candidate) for candidate in candidates)
