"""How current what is at hand of tenants is, and for how long it may be used unconfirmed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from broker.core.key import Key
from broker.core.policy import DAY_S
from broker.core.scope import key_scope
from broker.core.words import Family, State
from broker.ports.clock import Clock
from broker.services.health import HealthBook

UNTOLD_S = 1.0
"""Where changes are not told, because the feed does not work, a tenant in use is read this often,
as far as the database answers; as is one that waits for another system to mend its key."""


def is_quarantined(health: HealthBook, key: Key, now: float) -> bool:
    """Has the provider rejected the revision?"""
    if health.is_calm(key.provider):
        return False
    scope = key_scope(key.provider, key.key_id, key.revision)
    record = health.circuit(scope, Family.CREDENTIAL, now)
    return record is not None and record.standing(now).state in {State.OPEN, State.HALF_OPEN}


@dataclass(slots=True, kw_only=True)
class Freshness:
    """Knows up to when what is at hand is what is kept.

    `is_current` says whether nothing that another broker changed can have been missed. Where the
    broker is the only one that writes (`is_alone`) that confirms what is at hand and no more.
    With `poll_s` a part of what is kept is another system's, which tells of no change: it is looked
    at more often while it has a quarantined key to mend.
    """

    clock: Clock
    is_current: Callable[[], bool] = lambda: True
    is_alone: bool = True
    is_quarantined: Callable[[Key], bool] = lambda _key: False
    max_stale_s: float = DAY_S
    poll_s: float = inf
    confirmed_at: float = field(init=False)

    def __post_init__(self) -> None:
        """What was not yet read is not yet old."""
        self.confirmed_at = self.clock.now()

    @property
    def is_polled(self) -> bool:
        """Is each reading good for itself alone?"""
        return self.poll_s < inf

    def confirm(self) -> None:
        """Call it every second: what is at hand is current, if no change can have been missed."""
        if self.is_current():
            self.confirmed_at = self.clock.now()

    def is_old(self, read_at: float, foreign: Iterable[Key]) -> bool:
        """Is a reading to be made anew; `foreign` are its keys that another system changes."""
        age_s = self.clock.now() - read_at
        if age_s < UNTOLD_S:
            return False
        if age_s >= self.poll_s or not (self.is_alone or self.is_current()):
            return True
        return self.is_polled and any(map(self.is_quarantined, foreign))

    def is_stale(self, known_at: float) -> bool:
        """Is what was current then too old to be used?"""
        return self.clock.now() - known_at > self.max_stale_s
