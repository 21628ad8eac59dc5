"""Rates that operators set: of keys, and of leases a principal or tenant may take."""

from dataclasses import dataclass

from broker.core.admission import Block
from broker.core.key import Key
from broker.core.pace import Pace, take
from broker.core.words import DenialReason

SWEEP_ABOVE = 10_000
"""Stored times of callers that are kept before those that no longer matter are dropped."""


@dataclass(frozen=True, slots=True)
class LeaseQuotas:
    """Leases a minute that one principal or one tenant may take here; 0 means any number."""

    per_principal: float = 0.0
    per_tenant: float = 0.0


class Pacing:
    """The stored times behind every rate; local to this replica, never claimed."""

    def __init__(self, quotas: LeaseQuotas) -> None:
        self._quotas = quotas
        self._due: dict[tuple[str, str], float] = {}

    def block(self, key: Key, tokens: int, now: float) -> Block | None:
        """AT_CAPACITY while a key's requests or tokens a minute are used up; takes nothing."""
        limits = key.limits
        if not limits.requests_per_minute and not limits.tokens_per_minute:
            return None
        waits = [
            self._peek(("requests", key.key_id), limits.requests_per_minute, 1.0, now),
            self._peek(("tokens", key.key_id), limits.tokens_per_minute, float(tokens), now),
        ]
        wait_s = max(waits)
        return Block(DenialReason.AT_CAPACITY, now + wait_s) if wait_s > 0 else None

    def note_grant(self, key: Key, tokens: int, now: float) -> None:
        """Take one request and its tokens from the key's rates."""
        limits = key.limits
        self._take(("requests", key.key_id), limits.requests_per_minute, 1.0, now)
        self._take(("tokens", key.key_id), limits.tokens_per_minute, float(tokens), now)

    def quota_block(self, principal: str, tenant: str, now: float) -> Block | None:
        """LEASE_QUOTA while a quota of the caller is used up; takes nothing."""
        quotas = self._quotas
        if not quotas.per_principal and not quotas.per_tenant:
            return None
        wait_s = self._peek(("principal", principal), quotas.per_principal, 1.0, now)
        if tenant:
            wait_s = max(wait_s, self._peek(("tenant", tenant), quotas.per_tenant, 1.0, now))
        return Block(DenialReason.LEASE_QUOTA, now + wait_s) if wait_s > 0 else None

    def take_quota(self, principal: str, tenant: str, now: float) -> Block | None:
        """Take one lease from both quotas, or LEASE_QUOTA when either is used up."""
        block = self.quota_block(principal, tenant, now)
        if block is None:
            self._take(("principal", principal), self._quotas.per_principal, 1.0, now)
            if tenant:
                self._take(("tenant", tenant), self._quotas.per_tenant, 1.0, now)
        return block

    def _peek(self, name: tuple[str, str], per_minute: float, units: float, now: float) -> float:
        if not per_minute or not units:
            return 0.0
        return take(Pace(per_minute, per_minute), self._due.get(name, 0.0), units, now)[1]

    def _take(self, name: tuple[str, str], per_minute: float, units: float, now: float) -> None:
        if not per_minute or not units:
            return
        pace = Pace(per_minute, per_minute)
        # No caller's estimate takes more than a minute: it could take a key from all for ever.
        taken = min(units, per_minute)
        self._due[name] = take(pace, self._due.get(name, 0.0), taken, now)[0]
        if len(self._due) > SWEEP_ABOVE:
            self._due = {kept: due for kept, due in self._due.items() if due > now}
