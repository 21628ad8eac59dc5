"""Slots and trial permits of one process: nothing is awaited between look and take."""

from dataclasses import dataclass, field
from math import inf

from broker.core.admission import Permit
from broker.ports.claims import Claim, Refusal

_MIN_SWEEP = 256
"""Permits that may lie around before those that expired are looked for."""


@dataclass(slots=True)
class _Hold:
    """What one member holds, until when (epoch seconds)."""

    member: str
    until: float
    slots: int = 1


@dataclass(slots=True)
class _Slots:
    """The slots of one key in use; `next_expiry` is a lower bound, so that few calls look."""

    holds: dict[str, _Hold] = field(default_factory=dict)
    in_use: int = 0
    next_expiry: float = inf

    def expire(self, now: float) -> None:
        if now < self.next_expiry:
            return
        for hold in [hold for hold in self.holds.values() if hold.until <= now]:
            self.drop(hold.member)
        self.next_expiry = min((hold.until for hold in self.holds.values()), default=inf)

    def drop(self, member: str) -> None:
        hold = self.holds.pop(member, None)
        if hold is not None:
            self.in_use -= hold.slots

    def take(self, claim: Claim) -> None:
        held = self.holds.get(claim.member)
        until = claim.slots_until if held is None else max(held.until, claim.slots_until)
        self.drop(claim.member)
        self.holds[claim.member] = _Hold(claim.member, until, claim.slots)
        self.in_use += claim.slots
        self.next_expiry = min(self.next_expiry, until)

    def refusal(self, claim: Claim) -> Refusal | None:
        """Why the claim's slots do not fit beside those of others."""
        held = self.holds.get(claim.member)
        own = 0 if held is None else held.slots
        missing = self.in_use - own + claim.slots - claim.cap
        if missing <= 0 or claim.cap <= 0 or claim.slots <= own:
            return None
        others = (hold for hold in self.holds.values() if hold is not held)
        for hold in sorted(others, key=lambda hold: hold.until):
            missing -= hold.slots
            if missing <= 0:
                return Refusal(None, hold.until)
        return Refusal(None, inf)


class MemoryClaims:
    """Who holds which slot and permit in this process; never unavailable."""

    def __init__(self) -> None:
        self._slots: dict[tuple[str, str], _Slots] = {}
        self._permits: dict[Permit, _Hold] = {}
        self._sweep_at = _MIN_SWEEP

    async def claim(self, claim: Claim, now: float) -> Refusal | None:
        """Take all of it or nothing; a repeat by the same member keeps the later expiry."""
        refusal = self._refusal(claim, now)
        if refusal is not None:
            return refusal
        if claim.slots:
            self._slots_of(claim.provider, claim.key_id).take(claim)
        for permit in claim.permits:
            held = self._permits.get(permit)
            is_own = held is not None and held.member == claim.member
            until = max(held.until, claim.permits_until) if held and is_own else claim.permits_until
            self._permits[permit] = _Hold(claim.member, until)
        self._sweep(now)
        return None

    async def extend(self, claim: Claim, now: float) -> None:
        """Move the expiry of what the member still holds, never to an earlier time."""
        slots = self._slots.get((claim.provider, claim.key_id))
        if slots is None:
            return
        slots.expire(now)
        hold = slots.holds.get(claim.member)
        if hold is not None:
            hold.until = max(hold.until, claim.slots_until)

    async def release_slots(self, provider: str, key_id: str, member: str) -> None:
        """Give back a member's slots."""
        slots = self._slots.get((provider, key_id))
        if slots is None:
            return
        slots.drop(member)
        if not slots.holds:
            del self._slots[provider, key_id]

    async def release_permits(self, permits: tuple[Permit, ...], member: str) -> None:
        """Give back those of `permits` that the member holds."""
        for permit in permits:
            held = self._permits.get(permit)
            if held is not None and held.member == member:
                del self._permits[permit]

    def slots_in_use(self, provider: str, key_id: str, now: float) -> int:
        """Slots of a key in use, exactly."""
        slots = self._slots.get((provider, key_id))
        if slots is None:
            return 0
        slots.expire(now)
        return slots.in_use

    def _slots_of(self, provider: str, key_id: str) -> _Slots:
        slots = self._slots.get((provider, key_id))
        if slots is None:
            slots = self._slots[provider, key_id] = _Slots()
        return slots

    def _refusal(self, claim: Claim, now: float) -> Refusal | None:
        for permit in claim.permits:
            held = self._permits.get(permit)
            if held is not None and held.until > now and held.member != claim.member:
                return Refusal(permit, held.until)
        if not claim.slots:
            return None
        slots = self._slots.get((claim.provider, claim.key_id))
        if slots is None:
            return Refusal(None, inf) if 0 < claim.cap < claim.slots else None
        slots.expire(now)
        return slots.refusal(claim)

    def _sweep(self, now: float) -> None:
        """Forget permits that expired, often enough that they never outweigh the live ones."""
        if len(self._permits) < self._sweep_at:
            return
        for permit in [p for p, hold in self._permits.items() if hold.until <= now]:
            del self._permits[permit]
        self._sweep_at = max(2 * len(self._permits), _MIN_SWEEP)
