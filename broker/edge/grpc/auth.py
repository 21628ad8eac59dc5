"""Who calls, and what each role may call."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

from broker.services.principal import Principal, Role

LEASE_SERVICE: Final = "keybroker.v1.LeaseService"
STATUS_SERVICE: Final = "keybroker.v1.StatusService"
ADMIN_SERVICE: Final = "keybroker.v1.AdminService"
HEALTH_SERVICE: Final = "grpc.health.v1.Health"
REFLECTION_SERVICE: Final = "grpc.reflection.v1alpha.ServerReflection"

ROLES: Final[Mapping[str, frozenset[Role]]] = MappingProxyType(
    {
        LEASE_SERVICE: frozenset({Role.GATEWAY}),
        STATUS_SERVICE: frozenset(Role),
        ADMIN_SERVICE: frozenset({Role.OPERATOR}),
        REFLECTION_SERVICE: frozenset(Role),
    }
)
"""The roles of which one is needed, by service; a service that is not here is for nobody."""

OPEN_SERVICES: Final = frozenset({HEALTH_SERVICE})
"""Services that anybody may call: an orchestrator's health check has no token."""

_CALLER: ContextVar[Principal] = ContextVar("caller")

enter = _CALLER.set
"""Say who makes the call that the running task serves."""

caller = _CALLER.get
"""Who makes the call that the running task serves."""


def service_of(method: str) -> str:
    """The service in `/package.Service/Method`."""
    return method[1:].partition("/")[0]


def authorization(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The `authorization` of a call; "" where there is none."""
    for name, value in metadata:
        if name == "authorization" and isinstance(value, str):
            return value
    return ""
