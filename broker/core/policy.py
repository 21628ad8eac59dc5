"""What each kind of failure costs: the verdict policy as one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from broker.core.words import Family, Kind, ScopeKind

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86400.0

RAMP_STEPS = 6
"""Whole ramp steps after which a ramping circuit is closed: 2**6 leases are no limit to most."""

LEVEL_DECAY_S = 10 * MINUTE_S
"""Healthy time after which a closed record loses one level."""

RECORD_TTL_S = DAY_S
"""Records other than credential ones go at the latest this long after their `until`."""

JITTER_FRACTION = 0.1
JITTER_MAX_S = 30.0


class Healing(StrEnum):
    """What ends an open circuit of a family."""

    TIME = "time"
    TRIAL = "trial"
    PROBE = "probe or a new revision"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a kind of failure opens circuits of its family.

    A trip at level n stays open for `base_s * factor ** (n - 1)`, at most `cap_s`; the provider's
    own hint is believed up to `hint_cap_s`, since a provider's answer is hostile input.
    """

    scope: ScopeKind
    family: Family
    base_s: float
    factor: float
    cap_s: float
    hint_cap_s: float

    def is_capped(self, level: int) -> bool:
        """Would a higher level open no longer, and only take longer to decay?"""
        return level > 0 and self.backoff_s(level) >= self.cap_s

    def backoff_s(self, level: int) -> float:
        """Seconds that a circuit stays open at `level` (from 1 up)."""
        exponent = min(max(level, 1) - 1, 64)
        return min(self.base_s * self.factor**exponent, self.cap_s)


@dataclass(frozen=True, slots=True)
class FamilyPolicy:
    """What all kinds of one family share."""

    healing: Healing
    ramp_step_s: float
    pool_state: str
    """The operators' word for a key that is open in this family."""


FAMILIES: Mapping[Family, FamilyPolicy] = MappingProxyType(
    {
        Family.LIMIT: FamilyPolicy(Healing.TIME, 0.25, "cooling_down"),
        Family.QUOTA: FamilyPolicy(Healing.TRIAL, 2.0, "exhausted"),
        Family.CREDENTIAL: FamilyPolicy(Healing.PROBE, 2.0, "quarantined"),
        Family.ACCESS: FamilyPolicy(Healing.TRIAL, 2.0, "restricted"),
        Family.HEALTH: FamilyPolicy(Healing.TRIAL, 2.0, "cooling_down"),
    }
)

_HEALTH = Policy(ScopeKind.UPSTREAM, Family.HEALTH, 15.0, 2.0, 5 * MINUTE_S, 5 * MINUTE_S)

POLICIES: Mapping[Kind, Policy] = MappingProxyType(
    {
        Kind.RATE_LIMITED: Policy(
            ScopeKind.KEY_MODEL, Family.LIMIT, 5.0, 2.0, 15 * MINUTE_S, HOUR_S
        ),
        Kind.QUOTA_EXHAUSTED: Policy(
            ScopeKind.ACCOUNT, Family.QUOTA, 15 * MINUTE_S, 2.0, HOUR_S, 32 * DAY_S
        ),
        Kind.INVALID_CREDENTIAL: Policy(
            ScopeKind.KEY, Family.CREDENTIAL, 15.0, 2.0, 6 * HOUR_S, 0.0
        ),
        Kind.PERMISSION_DENIED: Policy(
            ScopeKind.KEY_MODEL, Family.ACCESS, 10 * MINUTE_S, 2.0, 6 * HOUR_S, 0.0
        ),
        Kind.MODEL_NOT_FOUND: Policy(
            ScopeKind.KEY_MODEL, Family.ACCESS, HOUR_S, 4.0, 12 * HOUR_S, 0.0
        ),
        Kind.OVERLOADED: _HEALTH,
        Kind.SERVER_ERROR: _HEALTH,
        Kind.UNREACHABLE: _HEALTH,
    }
)
"""Kinds that are not here reach nothing but their own request."""
