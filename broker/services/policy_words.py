"""Tenant policies in words, for explanations and denials."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from broker.core.admission import STATE_NAMES
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.core.words import DenialReason


def policy_in_words(policy: TenantPolicy) -> str:
    """Whose keys a policy allows, and who set it when."""
    if not policy.tenant:
        return "no tenant is named: served from the system keys"
    whose = f"{policy.mode} for tenant {policy.tenant!r} and {policy.provider}"
    return f"{whose}, {_set_by(policy)}: {_allowed(policy)}"


def whose_keys(policy: TenantPolicy, owners: Sequence[str], reason: DenialReason) -> str:
    """Which keys a denial speaks of: those of `owners`, the ones that were looked at."""
    if not policy.tenant:
        return ""
    if policy.mode is PolicyMode.SYSTEM_ONLY:
        return "this is of the system keys: the tenant's policy SYSTEM_ONLY allows no others"
    if "" in owners:
        return "this is of the tenant's own keys and the system keys: neither can be leased"
    if reason is DenialReason.NO_KEYS:
        return "the tenant has no key of its own and its policy allows no other"
    if policy.mode is PolicyMode.TENANT_ONLY:
        return "this is of the tenant's own keys: its policy TENANT_ONLY allows no others"
    return (
        "this is of the tenant's own keys: its policy TENANT_THEN_SYSTEM goes on to system keys"
        f" {_when(policy)}"
    )


def _allowed(policy: TenantPolicy) -> str:
    if policy.mode is PolicyMode.TENANT_ONLY:
        return "its own keys and no others, also where it has none"
    if policy.mode is PolicyMode.SYSTEM_ONLY:
        return "the system keys, also where it has keys of its own"
    return f"its own keys; the system keys {_when(policy)}"


def _when(policy: TenantPolicy) -> str:
    states = _either(sorted(STATE_NAMES[reason] for reason in policy.fall_through))
    return "only where it has none" + (f", or every one is {states}" if states else "")


def _either(words: Iterable[str]) -> str:
    return " or ".join(word.replace("_", " ") for word in words)


def _set_by(policy: TenantPolicy) -> str:
    if not policy.set_by:
        return "the default, which nobody has changed"
    if not policy.set_at:
        return f"since it has keys in {policy.set_by}"
    at = datetime.fromtimestamp(policy.set_at, UTC).isoformat(timespec="seconds")
    return f"set by {policy.set_by} at {at}"
