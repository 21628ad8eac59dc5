"""Closing circuits against the broker's own judgement."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from broker.core.circuit import Circuit
from broker.core.facts import CircuitCleared
from broker.core.scope import Scope
from broker.core.words import Family, ScopeKind
from broker.ports.clock import Clock
from broker.services.errors import InvalidFieldError
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.standing import CircuitView, views_of

NEEDED: Mapping[ScopeKind, tuple[str, ...]] = MappingProxyType(
    {
        ScopeKind.KEY: ("key_id",),
        ScopeKind.KEY_MODEL: ("key_id", "model"),
        ScopeKind.ACCOUNT: ("provider", "account"),
        ScopeKind.ACCOUNT_MODEL: ("provider", "account", "model"),
        ScopeKind.UPSTREAM: ("provider", "model"),
        ScopeKind.UPSTREAM_PRINCIPAL: ("provider", "model", "principal"),
    }
)
"""The fields that must name what to clear."""

OPTIONAL: Mapping[ScopeKind, tuple[str, ...]] = MappingProxyType(
    {
        ScopeKind.KEY: ("provider", "revision"),
        ScopeKind.KEY_MODEL: ("provider", "revision"),
        ScopeKind.UPSTREAM: ("endpoint",),
        ScopeKind.UPSTREAM_PRINCIPAL: ("endpoint",),
    }
)
"""The fields that mean any when they are empty. An account's empty owner is the operator."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """Clears circuits; what is closed already stays so and is not told."""

    keyring: Keyring
    health: HealthBook
    clock: Clock

    async def clear(
        self, principal: str, scope: Scope, family: Family | None
    ) -> tuple[CircuitView, ...]:
        """Close what matches, without ramp or level; returns it as it was.

        Raises InvalidFieldError.
        """
        _check(scope)
        records = [record for record in self._records(scope) if family in {None, record.family}]
        views = views_of(records, self.clock.now())
        await self.health.submit([self._fact(record, principal) for record in records])
        for record in records:
            self.keyring.touch(record.scope)
        return tuple(views)

    def _records(self, scope: Scope) -> list[Circuit]:
        if scope.provider and scope.provider not in self.keyring.providers:
            return []
        records = self.health.circuits(scope.provider)
        return [record for record in records if _matches(scope, record.scope)]

    def _fact(self, record: Circuit, principal: str) -> CircuitCleared:
        return CircuitCleared(
            fact_id=f"cleared/{secrets.token_hex(8)}",
            provider=record.scope.provider,
            replica=self.health.replica,
            scope=record.scope,
            family=record.family,
            principal=principal,
        )


def _check(scope: Scope) -> None:
    if scope.kind not in NEEDED:
        raise InvalidFieldError("scope.kind", "a request has no circuits: name a wider kind")
    for name in NEEDED[scope.kind]:
        if not getattr(scope, name):
            raise InvalidFieldError(f"scope.{name}", f"is required for the kind {scope.kind}")


def _matches(wanted: Scope, scope: Scope) -> bool:
    """Is `scope` what is wanted; fields that the kind does not use do not count."""
    if wanted.kind is not scope.kind:
        return False
    optional = OPTIONAL.get(wanted.kind, ("owner",))
    for name in (*NEEDED[wanted.kind], *optional):
        value = getattr(wanted, name)
        is_any = not value and name != "owner"
        if not is_any and value != getattr(scope, name):
            return False
    return True
