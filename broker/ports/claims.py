"""The two things that need an atomic claim before a grant: concurrency slots and trial permits."""

from dataclasses import dataclass
from typing import Protocol

from broker.core.admission import Permit


@dataclass(frozen=True, slots=True)
class Claim:
    """What one lease claims, all of it or nothing.

    `member` names the lease for repeats: the same member takes the same slots again. `slots` of
    the key's `cap` are held until `slots_until`, permits until `permits_until` (epoch seconds).
    """

    provider: str
    member: str
    key_id: str = ""
    slots: int = 0
    cap: int = 0
    slots_until: float = 0.0
    permits: tuple[Permit, ...] = ()
    permits_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a claim was refused: `permit` is held by another lease, or (None) no slot is free.

    `free_at` is when what is missing expires at the latest, in epoch seconds.
    """

    permit: Permit | None
    free_at: float


class Claims(Protocol):
    """Who holds which slot and permit, in the whole fleet."""

    async def claim(self, claim: Claim, now: float) -> Refusal | None:
        """Take everything in `claim` atomically, or nothing and say why.

        A repeat by the same member succeeds and may move its expiry, to a later time only: the
        lease that was answered first lives on. What expired by `now` is free.
        Raises StoreUnavailableError.
        """
        ...

    async def extend(self, claim: Claim, now: float) -> None:
        """Move the expiry of slots the member still holds to a later time; never takes new ones."""
        ...

    async def release_slots(self, provider: str, key_id: str, member: str) -> None:
        """Give back a member's slots; unknown members are ignored."""
        ...

    async def release_permits(self, permits: tuple[Permit, ...], member: str) -> None:
        """Give back a member's permits; permits held by others stay theirs."""
        ...

    def slots_in_use(self, provider: str, key_id: str, now: float) -> int:
        """Slots of a key in use as far as this replica knows. Does not block."""
        ...
