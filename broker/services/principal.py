"""Who calls: a configured name with roles, never its token or certificate."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from broker.services.errors import TenantForbiddenError


class Role(StrEnum):
    """What a principal may call."""

    GATEWAY = "gateway"
    OBSERVER = "observer"
    OPERATOR = "operator"


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
        if not tenant_id:
            allowed = self.untenanted
        else:
            allowed = any(
                pattern == "*" or fnmatchcase(tenant_id, pattern) for pattern in self.tenants
            )
        if not allowed:
            raise TenantForbiddenError(self.name, tenant_id)


LOCAL = Principal("local", frozenset(Role))
"""Everybody, at a broker without tokens: it listens on loopback only."""
