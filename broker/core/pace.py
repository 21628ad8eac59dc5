"""Rate limits as a pure decision: the generic cell rate algorithm."""

from typing import NamedTuple


class Pace(NamedTuple):
    """A rate: `per_minute` units a minute, with bursts of up to `burst` units."""

    per_minute: float
    burst: float


def take(pace: Pace, due: float, units: float, now: float) -> tuple[float, float]:
    """Take `units` at `now` given the stored time `due`.

    Returns (the new `due`, 0) when they fit, else (the old `due`, seconds to wait). A request
    larger than the burst is let through once the bucket is full: waiting would never help it.
    """
    unit_s = 60.0 / pace.per_minute
    start = max(due, now)
    ahead_s = start - now
    room_s = max(pace.burst - min(units, pace.burst), 0.0) * unit_s
    if ahead_s > room_s:
        return due, ahead_s - room_s
    return start + units * unit_s, 0.0
