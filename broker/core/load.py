"""How busy a key lately was, against how much it can take."""

import math

HALF_LIFE_S = 10.0

LOW_HEADROOM = 0.2
"""Below this remaining share of the provider's own limit, a key's weight shrinks with it."""

HEADROOM_TTL_S = 60.0
"""Providers refill their windows within a minute: an older reading says nothing."""

MIN_SHARE = 0.05


class KeyLoad:
    """A key's recent grants (decayed, half-life HALF_LIFE_S) and the provider's word on room."""

    __slots__ = ("_at", "_grants", "_headroom", "_headroom_at")

    def __init__(self) -> None:
        self._grants = 0.0
        self._at = 0.0
        self._headroom = 1.0
        self._headroom_at = 0.0

    def grants(self, now: float) -> float:
        """Recent grants, each counting half after HALF_LIFE_S."""
        if not self._grants:
            return 0.0
        return self._grants * math.exp2(-max(now - self._at, 0.0) / HALF_LIFE_S)

    def note_grant(self, now: float) -> None:
        """Count one grant."""
        self._grants = self.grants(now) + 1.0
        self._at = now

    def note_headroom(self, share: float, now: float) -> None:
        """Remember the share (0 to 1) of the provider's limit that its answer said is left."""
        self._headroom = share
        self._headroom_at = now

    def pressure(self, weight: float, now: float) -> float:
        """Recent grants by effective weight: of two keys the one with less is better."""
        share = 1.0
        if self._headroom < LOW_HEADROOM and now - self._headroom_at < HEADROOM_TTL_S:
            share = max(self._headroom / LOW_HEADROOM, MIN_SHARE)
        return (self.grants(now) + 1.0) / (weight * share)
