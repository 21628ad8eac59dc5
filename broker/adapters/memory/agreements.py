"""Agreements of a broker that is alone."""

from collections.abc import Sequence

from broker.ports.agreements import Attendance

FORGOTTEN_S = 24 * 3600.0
"""How long a broker that did not say that it ended is remembered."""


class MemoryAgreements:
    """What is agreed as long as the process runs; never unavailable."""

    def __init__(self) -> None:
        self._agreed: dict[str, str] = {}
        self._present: dict[str, Attendance] = {}

    async def get(self, name: str) -> str | None:
        """The value of a name."""
        return self._agreed.get(name)

    async def put(self, name: str, value: str) -> None:
        """Put a value in place of another."""
        self._agreed[name] = value

    async def put_first(self, name: str, value: str) -> str:
        """The value that was there first."""
        return self._agreed.setdefault(name, value)

    async def attend(self, attendance: Attendance) -> None:
        """Remember that a broker is there."""
        since = attendance.seen_at - FORGOTTEN_S
        known = {name: one for name, one in self._present.items() if one.seen_at >= since}
        self._present = known | {attendance.replica: attendance}

    async def leave(self, replica: str) -> None:
        """Forget a broker."""
        self._present.pop(replica, None)

    async def present(self, since: float) -> Sequence[Attendance]:
        """Those that were seen since."""
        found = (one for one in self._present.values() if one.seen_at >= since)
        return sorted(found, key=lambda one: one.replica)
