"""Keys that fail together: one alert with one root cause, instead of one a key."""

from collections.abc import Iterable

IN_USE_S = 10 * 60.0
"""A key counts as in use this long after its last lease."""

TOGETHER_S = 60.0
"""Rejections this close to each other belong together."""

SHARE = 0.5


class KeyUse:
    """Which keys this replica leased lately, and which of them were rejected, by owner class."""

    def __init__(self) -> None:
        self._used: dict[str, dict[str, float]] = {}
        self._rejected: dict[str, dict[str, float]] = {}

    def note_used(self, owner_class: str, key_id: str, now: float) -> None:
        """Remember that a key was leased, or that a call with it succeeded."""
        used = self._used.setdefault(owner_class, {})
        used.pop(key_id, None)  # the first in order is the one longest unused
        used[key_id] = now

    def used(self, owner_class: str, now: float) -> set[str]:
        """The keys in use; the others are forgotten."""
        used = self._used.get(owner_class, {})
        while used and next(iter(used.values())) < now - IN_USE_S:
            del used[next(iter(used))]
        return set(used)

    def note_rejected(self, owner_class: str, key_id: str, now: float) -> None:
        """Remember a rejection."""
        self._rejected.setdefault(owner_class, {})[key_id] = now

    def rejections(self, owner_class: str) -> int:
        """How many rejections are remembered, those of the last minute among them."""
        return len(self._rejected.get(owner_class, ()))

    def together(self, owner_class: str, now: float, beside: Iterable[str] = ()) -> tuple[str, ...]:
        """The keys of the incident that the rejections of the last minute make, or none.

        `beside` are keys that count as in use although nobody is known to have used them.
        """
        together = _since(self._rejected.setdefault(owner_class, {}), now - TOGETHER_S)
        in_use = self.used(owner_class, now) | together.keys() | set(beside)
        return tuple(sorted(together)) if len(together) >= SHARE * len(in_use) else ()

    def note_healed(self, owner_class: str, key_id: str) -> None:
        """Forget a rejection that is over."""
        self._rejected.get(owner_class, {}).pop(key_id, None)


def is_over(key_ids: Iterable[str], rejected_now: set[str]) -> bool:
    """Has an incident ended: fewer than half of its keys are still rejected."""
    keys = list(key_ids)
    return sum(key_id in rejected_now for key_id in keys) < SHARE * len(keys)


def _since(times: dict[str, float], oldest: float) -> dict[str, float]:
    for key_id in [key_id for key_id, at in times.items() if at < oldest]:
        del times[key_id]
    return times
