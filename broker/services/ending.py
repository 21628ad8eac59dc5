"""How leases end: what they held is free at once, and each trial's end is told."""

import asyncio
import secrets
from dataclasses import dataclass

from broker.core.admission import Permit
from broker.core.facts import TrialEnded
from broker.core.lease_token import LeaseClaims
from broker.core.words import ScopeKind
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.meter import Meter
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.tokens import member_of


@dataclass(frozen=True, slots=True)
class Ending:
    """Ends leases."""

    keyring: Keyring
    health: HealthBook
    claims: Claims
    book: LeaseBook
    clock: Clock
    meter: Meter

    async def end(self, lease: LeaseClaims, how: str) -> None:
        """Give back slots and permits; `how` is reported, released, expired or revoked.

        What has begun is finished, also when the caller leaves.
        """
        live = self.book.end(lease.uid, self.clock.now())
        if live is not None:
            self.meter.ended(how)
        permits = live.permits if live else lease.permits
        if lease.slots or permits:
            await asyncio.shield(self._give_back(lease, permits))

    async def _give_back(self, lease: LeaseClaims, permits: tuple[Permit, ...]) -> None:
        if self.book.is_superseded(lease):
            return
        if lease.slots:
            await self._release_slots(lease)
        await self.end_permits(lease, permits)

    async def return_trials(self, lease: LeaseClaims, permits: tuple[Permit, ...]) -> None:
        """Say of each trial that it proved nothing; call it when no report told its end."""
        if self.book.is_superseded(lease):
            return
        facts = [
            TrialEnded(
                fact_id=f"returned/{lease.uid}/{secrets.token_hex(4)}",
                provider=permit.scope.provider,
                replica=self.health.replica,
                scope=permit.scope,
                family=permit.family,
                passed=False,
                reported_by=lease.principal,
            )
            for permit in permits
        ]
        await self.health.submit(facts)

    async def end_permits(self, lease: LeaseClaims, permits: tuple[Permit, ...]) -> None:
        """Give back trial permits, also when the caller leaves; the lease itself may live on."""
        if not permits:
            return
        live = self.book.find(lease.uid)
        if live is not None:
            live.permits = ()
        await asyncio.shield(self._release_permits(lease, permits))

    async def _release_permits(self, lease: LeaseClaims, permits: tuple[Permit, ...]) -> None:
        try:
            await self.claims.release_permits(permits, member_of(lease))
        except StoreUnavailableError:
            return  # the store forgets them by itself when they expire
        for permit in permits:
            self.keyring.touch(permit.scope)

    async def sweep(self) -> None:
        """End the leases whose time is over."""
        for live in list(self.book.expired(self.clock.now())):
            lease = live.claims
            self.meter.ended("expired")
            if live.permits:
                await self.return_trials(lease, live.permits)
            await self._give_back(lease, live.permits)

    async def _release_slots(self, lease: LeaseClaims) -> None:
        provider = lease.upstream.provider
        try:
            await self.claims.release_slots(provider, lease.key_id, member_of(lease))
        except StoreUnavailableError:
            return  # the store frees them when they expire
        self.keyring.touch(lease.scope(ScopeKind.KEY))
