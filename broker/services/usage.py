"""Who uses what: the keys and upstreams each principal leased in the last hour."""

from collections.abc import Collection

from broker.core.incident import IN_USE_S, KeyUse
from broker.core.lease_token import LeaseClaims
from broker.core.scope import Upstream
from broker.core.words import Provenance

USES_S = 3600.0
"""A principal uses what it was granted a lease on within this time."""

MAX_USES = 10_000
"""Uses remembered per principal."""

MAX_SUCCEEDED = 10_000
"""Revisions of system keys whose last success is remembered."""

Use = tuple[str, str, Upstream]
"""(key id, tenant, upstream)."""


class _Uses:
    """What one principal used, the longest unused first; and by key, which most questions name."""

    def __init__(self) -> None:
        self.times: dict[Use, float] = {}
        self._of_keys: dict[str, set[Use]] = {}

    def note(self, use: Use, now: float) -> None:
        self.times.pop(use, None)
        self.times[use] = now
        self._of_keys.setdefault(use[0], set()).add(use)
        if len(self.times) > MAX_USES:
            self._forget(next(iter(self.times)))

    def since(self, oldest: float, key_id: str = "") -> Collection[Use]:
        """Those since then, of one key or of all; what is older is forgotten."""
        while self.times and (first := next(iter(self.times.items())))[1] < oldest:
            self._forget(first[0])
        return self._of_keys.get(key_id, ()) if key_id else self.times.keys()

    def _forget(self, use: Use) -> None:
        del self.times[use]
        of_key = self._of_keys[use[0]]
        of_key.discard(use)
        if not of_key:
            del self._of_keys[use[0]]


class Usage:
    """What was leased lately, by principal (for watchers) and by owner class (for incidents)."""

    def __init__(self) -> None:
        self._uses: dict[str, _Uses] = {}
        self._last_success: dict[str, float] = {}
        self._succeeded: dict[tuple[str, str], float] = {}
        self.keys: dict[str, KeyUse] = {}

    def note(self, lease: LeaseClaims, now: float) -> None:
        """Remember a grant."""
        uses = self._uses.get(lease.principal)
        if uses is None:
            uses = self._uses[lease.principal] = _Uses()
        uses.note((lease.key_id, lease.tenant, lease.upstream), now)
        provider = lease.upstream.provider
        self.key_use(provider).note_used(lease.provenance, lease.key_id, now)

    def note_success(self, lease: LeaseClaims, now: float) -> None:
        """Remember that a provider served a call: the key is in use, and it works."""
        provider = lease.upstream.provider
        self._last_success[provider] = now
        self.key_use(provider).note_used(lease.provenance, lease.key_id, now)
        if lease.provenance is Provenance.SYSTEM:
            name = (lease.key_id, lease.revision)
            self._succeeded.pop(name, None)  # the first in order is the longest ago
            self._succeeded[name] = now
            if len(self._succeeded) > MAX_SUCCEEDED:
                del self._succeeded[next(iter(self._succeeded))]

    def last_success(self, provider: str) -> float | None:
        """When a call to the provider last succeeded, as far as this replica knows."""
        return self._last_success.get(provider)

    def succeeded_at(self, key_id: str, revision: str) -> float | None:
        """When a call with this revision of a system key last succeeded, as far as is known."""
        return self._succeeded.get((key_id, revision))

    def models_in_use(self, provider: str, since: float) -> set[str]:
        """The models of a provider that anybody leased here since then."""
        found = set()
        for uses in self._uses.values():
            for (_key_id, _tenant, upstream), at in reversed(uses.times.items()):
                if at < since:
                    break  # they are in the order of time
                if upstream.provider == provider:
                    found.add(upstream.model)
        return found

    def key_use(self, provider: str) -> KeyUse:
        """Which of a provider's keys are in use or were rejected."""
        use = self.keys.get(provider)
        if use is None:
            use = self.keys[provider] = KeyUse()
        return use

    def keys_in_use(self, provider: str, since: float) -> set[str]:
        """The keys of a provider that anybody used here from IN_USE_S before `since` on."""
        return {
            key_id
            for uses in self._uses.values()
            for (key_id, _tenant, upstream), at in uses.times.items()
            if upstream.provider == provider and at >= since - IN_USE_S
        }

    def does_serve(self, principal: str, tenant: str, now: float) -> bool:
        """Did the principal lease anything for the tenant within USES_S?"""
        return any(served == tenant for _key, served, _upstream in self._of(principal, now))

    def does_use(self, principal: str, provider: str, key_id: str, model: str, now: float) -> bool:
        """Did the principal lease something within USES_S that "" (any) or equal fields match?"""
        return any(
            (not provider or provider == upstream.provider)
            and (not model or model == upstream.model)
            for _key, _tenant, upstream in self._of(principal, now, key_id)
        )

    def _of(self, principal: str, now: float, key_id: str = "") -> Collection[Use]:
        """What a principal used within USES_S, of one key or of all."""
        uses = self._uses.get(principal)
        return uses.since(now - USES_S, key_id) if uses is not None else ()
