"""Whose keys tenants are served from: what operators set, and what holds where nobody did."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from broker.core.tenancy import FALL_THROUGH, PolicyMode, TenantPolicy
from broker.core.words import DenialReason
from broker.ports.clock import Clock
from broker.ports.key_store import KeyStore
from broker.services.committing import Committing
from broker.services.errors import InvalidFieldError
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.policy_words import policy_in_words
from broker.services.tenants import Tenants
from broker.services.turns import Turns


@dataclass(frozen=True, slots=True)
class Policies:
    """Shows and sets tenant policies, one change of a tenant's at a time.

    A change that has begun is finished, also when the operator who asked for it goes away.
    """

    keyring: Keyring
    store: KeyStore
    tenants: Tenants
    committing: Committing
    journal: Journal
    clock: Clock
    _turns: Turns = field(default_factory=Turns)

    async def of(self, tenant: str, provider: str) -> list[TenantPolicy]:
        """The policy for one provider, set or not, or ("") all that are set, by provider.

        Raises ProviderUnknown- and StoreUnavailableError.
        """
        if provider:
            self.keyring.provider(provider)
        async with self.tenants.using(tenant):
            if provider:
                return [self.tenants.policy(tenant, provider)]
            known = self.tenants.find(tenant)
            policies = known.policies if known else {}
            return [policies[name] for name in sorted(policies)]

    async def put(
        self,
        principal: str,
        tenant: str,
        provider: str,
        mode: PolicyMode,
        fall_through: Collection[DenialReason],
    ) -> TenantPolicy:
        """Set a policy, in force at the answer.

        Raises ProviderUnknown-, InvalidField-, StoreUnavailable- and ChangeUncertainError.
        """
        self.keyring.provider(provider)
        falls = mode is PolicyMode.TENANT_THEN_SYSTEM
        if fall_through and not falls:
            raise InvalidFieldError("fall_through", "goes with TENANT_THEN_SYSTEM alone")
        through = frozenset(fall_through) or (FALL_THROUGH if falls else frozenset())
        policy = TenantPolicy(tenant, provider, mode, through, principal, self.clock.now())
        await asyncio.shield(self._set(policy))
        return policy

    async def _set(self, policy: TenantPolicy) -> None:
        async def is_made() -> bool:
            record = await self.store.tenant(policy.tenant)
            return record.policies.get(policy.provider) == policy

        async with self._turns.of(policy.tenant):
            put = self.store.put_policy(policy)
            await self.committing.commit(policy.tenant, put, is_made, "the policy was set")
            await self.tenants.reload(policy.tenant)
        self.journal.record(
            "policy_set",
            policy.provider,
            policy.set_at,
            policy_in_words(policy),
            principal=policy.set_by,
            attributes={"tenant": policy.tenant, "mode": policy.mode.value},
        )
