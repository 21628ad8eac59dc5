"""What probes found lately: shared for a minute, and a reason to wait where they prove nothing."""

from dataclasses import dataclass, replace

from broker.core.words import ProbeResult
from broker.ports.prober import Probed
from broker.services.probe_line import Name

SHARED_S = 60.0
"""A conclusive result answers routine questions for this long."""

RETRY_S = (1.0, 60.0)
"""A probe that proved nothing is made again after this long, doubling from first to last."""

FORGET_PAUSE_S = 600.0
"""A pause that is over for this long is forgotten, and with it how long the next would be."""


@dataclass(frozen=True, slots=True)
class Found:
    """A conclusive result, and when its probe began and ended."""

    probed: Probed
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class _Pause:
    count: int
    until: float


class ProbeMemory:
    """By revision of a key; holds no more than was probed in the last minutes."""

    def __init__(self) -> None:
        self._found: dict[Name, Found] = {}
        self._pauses: dict[Name, _Pause] = {}

    def note(self, name: Name, probed: Probed, began: float, ended: float) -> None:
        """Remember how a probe ended."""
        if probed.result is ProbeResult.INCONCLUSIVE:
            pause = self._pauses.pop(name, None)
            count = pause.count + 1 if pause else 1
            wait_s = min(RETRY_S[0] * 2 ** min(count - 1, 10), RETRY_S[1])
            self._pauses[name] = _Pause(count, ended + wait_s)
            return
        self._pauses.pop(name, None)
        self._found.pop(name, None)  # the oldest stay first
        self._found[name] = Found(replace(probed, models=()), began, ended)

    def forget(self, name: Name) -> None:
        """Forget a result: what it was about has changed."""
        self._found.pop(name, None)

    def found(self, name: Name, now: float) -> Found | None:
        """The conclusive result that still counts."""
        found = self._found.get(name)
        return found if found is not None and now - found.ended < SHARED_S else None

    def is_pausing(self, name: Name, now: float) -> bool:
        """Did the last probe prove nothing, too short a time ago to make another?"""
        pause = self._pauses.get(name)
        return pause is not None and now < pause.until

    def sweep(self, now: float) -> None:
        """Forget what does not count any more."""
        while self._found:
            name, found = next(iter(self._found.items()))
            if now - found.ended < SHARED_S:
                break
            del self._found[name]
        while self._pauses:
            name, pause = next(iter(self._pauses.items()))
            if now < pause.until + FORGET_PAUSE_S:
                break
            del self._pauses[name]
