"""What replicas share: one log, and one table of claims."""

from broker.core.admission import Permit
from broker.core.facts import Fact
from broker.core.lease_token import LeaseClaims
from broker.core.replica import Logged

CAP = 2
PERMIT_S = 60.0


class SharedLog:
    """One order of facts; log time never goes back."""

    def __init__(self) -> None:
        self.entries: list[Logged] = []

    def append(self, fact: Fact, age_s: float, now: float) -> None:
        at = max(now, self.entries[-1].at) if self.entries else now
        self.entries.append(Logged(len(self.entries) + 1, at, age_s, fact))


class ClaimTable:
    """Who holds which slot and permit until when: all of a claim or nothing."""

    def __init__(self) -> None:
        self.permits: dict[Permit, tuple[str, float]] = {}
        self.slots: dict[str, dict[str, float]] = {}

    def claim(self, lease: LeaseClaims, now: float) -> bool:
        held = [self._holder(permit) for permit in lease.permits]
        if any(until > now for _, until in held) or self.slots_in_use(lease.key_id, now) >= CAP:
            return False
        self.slots.setdefault(lease.key_id, {})[lease.uid] = lease.ends_at
        self.permits |= dict.fromkeys(lease.permits, (lease.uid, now + PERMIT_S))
        return True

    def release_permits(self, lease: LeaseClaims) -> None:
        for permit in lease.permits:
            if self._holder(permit)[0] == lease.uid:
                del self.permits[permit]

    def release_slots(self, lease: LeaseClaims) -> None:
        self.slots.get(lease.key_id, {}).pop(lease.uid, None)

    def slots_in_use(self, key_id: str, now: float) -> int:
        return sum(until > now for until in self.slots.get(key_id, {}).values())

    def permits_in_use(self, now: float) -> int:
        return sum(until > now for _, until in self.permits.values())

    def _holder(self, permit: Permit) -> tuple[str, float]:
        return self.permits.get(permit, ("", 0.0))
