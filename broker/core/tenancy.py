"""Whose keys serve a tenant: explicit, durable, and closed where nothing is known."""

from dataclasses import dataclass
from enum import StrEnum

from broker.core.words import DenialReason


class PolicyMode(StrEnum):
    """Whose keys a tenant is served from."""

    TENANT_ONLY = "TENANT_ONLY"
    TENANT_THEN_SYSTEM = "TENANT_THEN_SYSTEM"
    SYSTEM_ONLY = "SYSTEM_ONLY"


FALL_THROUGH = frozenset({DenialReason.QUARANTINED, DenialReason.EXHAUSTED})
"""What falls through to system keys where TENANT_THEN_SYSTEM names nothing else."""

CAN_FALL_THROUGH = frozenset(
    {
        DenialReason.COOLING_DOWN,
        DenialReason.RESTRICTED,
        DenialReason.EXHAUSTED,
        DenialReason.QUARANTINED,
        DenialReason.ALL_DISABLED,
    }
)
"""What may be named: never a key that cannot be opened, nor one that is merely busy."""


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """Whose keys serve `tenant` for `provider`; `set_at` is epoch seconds.

    `fall_through` are the refusals of the tenant's own keys after which TENANT_THEN_SYSTEM goes on
    to system keys. An empty `set_by` marks the default, which nobody set; with a
    `set_at` of 0 it names another system, whose keys of the tenant imply the policy.
    """

    tenant: str
    provider: str
    mode: PolicyMode
    fall_through: frozenset[DenialReason] = frozenset()
    set_by: str = ""
    set_at: float = 0.0
