"""Timing small things on noisy machines: many short rounds, of which the best and middle count."""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured figure."""

    name: str
    value: float
    unit: str


def microseconds(call: Callable[[], object], rounds: int = 15, round_s: float = 0.02) -> float:
    """The median time of one call, in microseconds, over rounds of about `round_s` each."""
    calls = 1
    while _timed(call, calls) < round_s:
        calls *= 2
    return median(_timed(call, calls) for _ in range(rounds)) / calls * 1e6


def _timed(call: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - began
