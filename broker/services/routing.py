"""Whose pools a tenant is served from, in which order, and when to go on to the next."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from broker.core.admission import BLOCK_REASONS, Block
from broker.core.denial import Denial, Target
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.core.words import DenialReason
from broker.ports.clock import Clock
from broker.services.acquisition import AcquireRequest
from broker.services.choosing import Choosing, Look
from broker.services.errors import SourceStaleError
from broker.services.policy_words import whose_keys
from broker.services.tenants import Tenants

Prepare = Callable[[Look], Look]
"""Makes of a look the one that is used: a dry run looks at a copy."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Applies tenant policies; the tenant must be in use."""

    tenants: Tenants
    choosing: Choosing
    clock: Clock

    def owners(self, tenant: str, provider: str) -> tuple[str, ...]:
        """Whose keys may serve a tenant; "" are system keys. Raises StoreUnavailableError."""
        if not tenant:
            return ("",)
        return _OWNERS[self.tenants.policy(tenant, provider).mode](tenant)

    def allows(self, look: Look) -> bool:
        """Does the policy, as it now is, let the look's tenant be served from its pool?

        Raises StoreUnavailableError.
        """
        return look.owner in self.owners(look.request.tenant, look.target.provider)

    def looks(
        self,
        target: Target,
        principal: str,
        request: AcquireRequest,
        prepare: Prepare = lambda look: look,
    ) -> Iterator[Look]:
        """Looks at the pools that may serve the request; the next where the last one had nothing.

        A pool that has something to offer ends it, and one whose trouble the policy does not let
        fall through: the policy as it is then, which may have changed meanwhile. Raises
        ProviderUnknown- and StoreUnavailableError.
        """
        for owner in self.owners(request.tenant, target.provider):
            now = self.clock.now()
            look = prepare(self.choosing.look(target, principal, request, now, owner))
            yield look
            if owner and not self.falls_through(look):
                return

    def is_leasable(self, target: Target, principal: str, tenant: str, now: float) -> bool:
        """Could this caller lease the target right now: a cheap look, which claims nothing."""
        for owner in self.owners(tenant, target.provider):
            look = self.choosing.glimpse(target, principal, tenant, now, owner)
            if self.choosing.pick(look) is not None:
                return True
            if owner and not self.falls_through(look):
                return False
        return False

    def falls_through(self, look: Look) -> bool:
        """Does the policy let the tenant be served from system keys instead of this pool?

        It does where the tenant has no key, or all of them are in a state that falls through; call
        it when nothing was found. Raises StoreUnavailableError.
        """
        policy = self.tenants.policy(look.request.tenant, look.target.provider)
        if policy.mode is not PolicyMode.TENANT_THEN_SYSTEM:
            return False
        troubles = set(self._troubles(look))
        return bool(troubles) and troubles <= policy.fall_through | {DenialReason.NO_KEYS}

    def would_fall_through(self, target: Target, principal: str, tenant: str) -> bool:
        """Would the tenant be served from system keys, since its own pool has nothing now?"""
        now = self.clock.now()
        look = self.choosing.look(target, principal, AcquireRequest(target, tenant), now, tenant)
        return self.choosing.pick(look) is None and self.falls_through(look)

    def stale(self, looks: Sequence[Look]) -> SourceStaleError | None:
        """Why none of these looks found anything, where what would serve is too old for that."""
        source = self.choosing.stale_source(looks)
        return SourceStaleError(source, looks[0].target.provider) if source else None

    def denial(self, looks: Sequence[Look]) -> Denial:
        """Why none of these looks at one upstream found anything, and whose keys were meant."""
        denial = self.choosing.denial(looks)
        request, provider = looks[0].request, looks[0].target.provider
        if not request.tenant:
            return denial
        policy = self.policy(request.tenant, provider)
        whose = whose_keys(policy, [look.owner for look in looks], denial.reason)
        return replace(denial, message=f"{denial.message} ({whose})")

    def policy(self, tenant: str, provider: str) -> TenantPolicy:
        """The policy in force. Raises StoreUnavailableError."""
        return self.tenants.policy(tenant, provider)

    def _troubles(self, look: Look) -> Iterator[DenialReason]:
        """What speaks against the pool; a key that is being tried is still in its trouble."""
        for block in self.choosing.blocks(look):
            if block.reason is DenialReason.TRIAL_BUSY and block.family is None:
                yield from (_trouble_of(entry.parked) for entry in look.pool if entry.parked)
            else:
                yield _trouble_of(block)


def _trouble_of(block: Block) -> DenialReason:
    """What a block is about: for a trial that is busy, the trouble that it is the end of."""
    return BLOCK_REASONS[block.family] if block.family else block.reason


_OWNERS: Mapping[PolicyMode, Callable[[str], tuple[str, ...]]] = {
    PolicyMode.TENANT_ONLY: lambda tenant: (tenant,),
    PolicyMode.TENANT_THEN_SYSTEM: lambda tenant: (tenant, ""),
    PolicyMode.SYSTEM_ONLY: lambda _tenant: ("",),
}
