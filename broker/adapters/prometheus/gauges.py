"""Gauges that are taken at the moment of a scrape."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.ports.gauges import StatusGauges, TakeGauges

MAX_KEYS: Final = 200
"""System keys with a series of their own; the first by name when there are more."""

log = structlog.get_logger("keybroker")


class GaugeCollector(Collector):
    """Asks how things stand, and how long ago each provider last succeeded."""

    def __init__(
        self, take_gauges: TakeGauges, since_success: Callable[[], Mapping[str, float]]
    ) -> None:
        self._take_gauges = take_gauges
        self._since_success = since_success

    def describe(self) -> list[Metric]:
        """Nothing: registering must not take gauges of what is not wired yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All gauges; a fault in taking them costs these, never the counters."""
        yield _family(
            "seconds_since_last_success",
            "Since an outcome reported here was OK. Bound: providers + 1.",
            ("provider",),
            [((provider,), age) for provider, age in self._since_success().items()],
        )
        try:
            gauges = self._take_gauges()
        except Exception:  # the counters are still true
            log.exception("gauges_failed")
            return
        yield from _status(gauges)


def _status(gauges: StatusGauges) -> Iterator[Metric]:
    codes, source_codes = _codes(gauges.states), _codes(gauges.all_source_states)
    known = (key for key, state in gauges.key_states.items() if state in codes)
    shown = sorted(known)[:MAX_KEYS]
    yield _family(
        "pool_keys",
        f"System keys by state. Bound: providers x {len(gauges.states)} states.",
        ("provider", "state"),
        gauges.pool_keys.items(),
    )
    yield _family(
        "key_state",
        f"State of each system key: {_meaning(codes)}. Bound: {MAX_KEYS} keys.",
        ("provider", "key"),
        [(key, codes[gauges.key_states[key]]) for key in shown],
    )
    yield _family(
        "source_age_seconds",
        "Since a source of keys was last read. Bound: sources.",
        ("source",),
        [((source,), age) for source, age in gauges.source_ages_s.items()],
    )
    yield _family(
        "source_state",
        f"How a source of keys is: {_meaning(source_codes)}. Bound: sources.",
        ("source",),
        [((source,), source_codes[state]) for source, state in gauges.source_states.items()],
    )
    yield _family(
        "stale_keys",
        "System keys not leased, as their source confirmed them too long ago. Bound: providers.",
        ("provider",),
        [((provider,), count) for provider, count in gauges.stale_keys.items()],
    )
    yield _family(
        "pending_facts",
        "Facts the log has not confirmed. Bound: 1.",
        (),
        [((), gauges.pending_facts)],
    )
    yield _family(
        "store_up", "1 while the store answers. Bound: 1.", (), [((), gauges.is_store_up)]
    )


def _codes(states: Sequence[str]) -> dict[str, int]:
    """The states' numbers, in their order."""
    return {state: code for code, state in enumerate(states)}


def _meaning(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {state}" for state, code in codes.items())


def _family(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = GaugeMetricFamily(f"keybroker_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, float(value))
    return family
