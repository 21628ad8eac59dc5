"""Who calls: a configured name with roles, never its token or certificate."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from broker.services.errors import TenantForbiddenError


class Role(StrEnum):
    """What a principal may call."""

    GATEWAY = "gateway"
    OBSERVER = "observer"
    OPERATOR = "operator"


READERS: Final = frozenset({Role.OBSERVER, Role.OPERATOR})
"""Who may ask for any tenant, and in any gateway's place."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    `tenants` are globs of the tenant ids it may lease for; `untenanted` lets it lease without one.
    """

    name: str
    roles: frozenset[Role]
    tenants: tuple[str, ...] = ("*",)
    untenanted: bool = True

    def check_tenant(self, tenant_id: str) -> None:
        """Raise TenantForbiddenError unless this principal may lease for `tenant_id`."""
        if not (self.serves(tenant_id) if tenant_id else self.untenanted):
            raise TenantForbiddenError(self.name, tenant_id)

    def serves(self, tenant_id: str) -> bool:
        """May it lease for this tenant?"""
        return any(pattern == "*" or fnmatchcase(tenant_id, pattern) for pattern in self.tenants)

    @property
    def sees_every_tenant(self) -> bool:
        """Is every tenant its business?"""
        return bool(self.roles & READERS) or "*" in self.tenants


LOCAL = Principal("local", frozenset(Role))
"""Everybody, at a broker without tokens: it listens on loopback only."""
