"""What operators decide over the broker's head: marks that only they lift, and their effects."""

import asyncio
import secrets
from dataclasses import dataclass

from broker.core.facts import MarkAnnounced
from broker.ports.mark_store import Mark, MarkKind
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.mark_effects import MarkEffects
from broker.services.marks import Marks
from broker.services.tenants import Tenants

_REVOKED = {
    MarkKind.KEY_REVOKED: "key",
    MarkKind.TENANT_REVOKED: "tenant",
    MarkKind.PRINCIPAL_REVOKED: "principal",
}


@dataclass(frozen=True, slots=True)
class Administration:
    """Sets and lifts marks, one at a time, so that who was first keeps the mark.

    A change that has begun is finished, also when the operator who asked for it goes away. What is
    about a key also raises StoreUnavailableError, where its tenant must be read and cannot be.
    """

    keyring: Keyring
    tenants: Tenants
    health: HealthBook
    marks: Marks
    effects: MarkEffects

    async def disable_key(self, principal: str, key_id: str, reason: str) -> None:
        """Take a key out of use; a disabled one keeps its mark. Raises KeyUnknownError."""
        async with self.tenants.using_key(key_id) as (_, provider, _tenant):
            change = self._disable(MarkKind.KEY_DISABLED, key_id, provider, principal, reason)
            await asyncio.shield(change)

    async def enable_key(self, principal: str, key_id: str) -> None:
        """Lift a key's mark, if it has one. Raises KeyUnknownError."""
        async with self.tenants.using_key(key_id) as (_, provider, _tenant):
            change = self._enable(MarkKind.KEY_DISABLED, key_id, provider, principal)
            await asyncio.shield(change)

    async def disable_upstream(
        self, principal: str, provider: str, model: str, reason: str
    ) -> Mark:
        """Take a model, or ("") the whole provider, out of use. Raises ProviderUnknownError."""
        self.keyring.provider(provider)
        subject = f"{provider}/{model}"
        change = self._disable(MarkKind.UPSTREAM_DISABLED, subject, provider, principal, reason)
        return await asyncio.shield(change)

    async def enable_upstream(self, principal: str, provider: str, model: str) -> None:
        """Lift exactly the mark on this model or provider. Raises ProviderUnknownError."""
        self.keyring.provider(provider)
        subject = f"{provider}/{model}"
        change = self._enable(MarkKind.UPSTREAM_DISABLED, subject, provider, principal)
        await asyncio.shield(change)

    async def revoke(self, principal: str, kind: MarkKind, subject: str, reason: str) -> Mark:
        """End every lease granted until now on a key, for a tenant or to a principal.

        Raises KeyUnknownError; tenants and principals need not be known.
        """
        if kind is not MarkKind.KEY_REVOKED:
            return await asyncio.shield(self._revoke(principal, kind, subject, reason))
        async with self.tenants.using_key(subject):
            return await asyncio.shield(self._revoke(principal, kind, subject, reason))

    async def _disable(
        self, kind: MarkKind, subject: str, provider: str, principal: str, reason: str
    ) -> Mark:
        async with self.marks.turn:
            mark = self.marks.find(kind, subject)
            if mark is not None:
                return mark
            mark = await self.marks.put(kind, subject, principal, reason)
            await self.effects.put(mark)
            await self._announce(kind.value, mark, provider, principal, reason)
            return mark

    async def _enable(self, kind: MarkKind, subject: str, provider: str, principal: str) -> None:
        async with self.marks.turn:
            if self.marks.find(kind, subject) is None:
                await self.effects.reload()  # another broker may have set it just now
            mark = self.marks.find(kind, subject)
            if mark is None:
                return
            await self.marks.remove(kind, subject)
            self.effects.lifted(mark)
            name = kind.value.replace("disabled", "enabled")
            await self._announce(name, mark, provider, principal, "")

    async def _revoke(self, principal: str, kind: MarkKind, subject: str, reason: str) -> Mark:
        async with self.marks.turn:
            mark = await self.marks.put(kind, subject, principal, reason)
            await self.effects.put(mark)
            key = self.keyring.find(subject) if kind is MarkKind.KEY_REVOKED else None
            # What is about no provider goes into the log that every replica follows first.
            provider = key.provider if key else min(self.keyring.providers, default="")
            if provider:
                await self._announce("leases_revoked", mark, provider, principal, reason)
            return mark

    async def _announce(
        self, event: str, mark: Mark, provider: str, principal: str, reason: str
    ) -> None:
        kinds = _REVOKED | {MarkKind.KEY_DISABLED: "key", MarkKind.UPSTREAM_DISABLED: "upstream"}
        fact = MarkAnnounced(
            fact_id=f"mark/{secrets.token_hex(8)}",
            provider=provider,
            replica=self.health.replica,
            mark=event,
            subject=f"{kinds[mark.kind]}/{mark.subject}",
            principal=principal,
            reason=reason,
        )
        await self.health.submit([fact])
