"""Claims that are slow or broken when a test says so, over those in memory."""

import asyncio

from broker.adapters.memory import MemoryClaims
from broker.core.admission import Permit
from broker.ports.claims import Claim, Refusal
from broker.ports.errors import StoreUnavailableError


class StubClaims(MemoryClaims):
    """Takes claims at once, and answers when nothing holds it up; fails while `is_down`."""

    def __init__(self) -> None:
        super().__init__()
        self._answers = asyncio.Event()
        self._releases = asyncio.Event()
        self.go_on()
        self.is_down = False
        self.claimed: list[Claim] = []

    def hold_answers(self) -> None:
        """Take what is claimed, and do not say so."""
        self._answers.clear()

    def hold_releases(self) -> None:
        """Do not take slots back yet."""
        self._releases.clear()

    def go_on(self) -> None:
        """Do all that was held up."""
        self._answers.set()
        self._releases.set()

    async def claim(self, claim: Claim, now: float) -> Refusal | None:
        self._check()
        self.claimed.append(claim)
        refusal = await super().claim(claim, now)
        await self._answers.wait()
        return refusal

    async def extend(self, claim: Claim, now: float) -> None:
        self._check()
        await super().extend(claim, now)

    async def release_slots(self, provider: str, key_id: str, member: str) -> None:
        self._check()
        await self._releases.wait()
        await super().release_slots(provider, key_id, member)

    async def release_permits(self, permits: tuple[Permit, ...], member: str) -> None:
        self._check()
        await super().release_permits(permits, member)

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the claims are switched off")
