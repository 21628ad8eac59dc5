"""What else a caller could lease right now, when what it asked for is denied."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.core.denial import Target
from broker.services.keyring import Keyring
from broker.services.routing import Routing

MAX_ALTERNATIVES = 10

MAX_LOOKS = 64
"""Upstreams looked at for one denial: a denial must not cost more than a grant by much."""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Finds upstreams to offer."""

    keyring: Keyring
    routing: Routing

    def of(
        self, refused: tuple[Target, ...], principal: str, tenant: str, now: float
    ) -> tuple[Target, ...]:
        """Upstreams leasable now: configured fallbacks first, then models known to exist.

        The tenant must be in use.
        """
        found: list[Target] = []
        looked = 0
        for target in self._candidates(refused[0].provider, tenant):
            if target in refused or target in found:
                continue
            if looked >= MAX_LOOKS or len(found) >= MAX_ALTERNATIVES:
                break
            looked += 1
            if self.routing.is_leasable(target, principal, tenant, now):
                found.append(target)
        return tuple(found)

    def _candidates(self, provider: str, tenant: str) -> Iterator[Target]:
        for target in self.keyring.provider(provider).fallbacks:
            if target.provider in self.keyring.providers:
                yield target
        names = [provider, *(name for name in self.keyring.providers if name != provider)]
        for name in names:
            models = set[str]()
            for owner in self.routing.owners(tenant, name):
                if self.keyring.has_keys(name, owner):
                    models |= self.keyring.models.listed(name, owner)
            yield from (Target(name, model) for model in sorted(models))
