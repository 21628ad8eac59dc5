"""Metrics whose label sets cannot grow without end."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics import MetricWrapperBase

MAX_CHILDREN: Final = 2_000
"""Label sets of one metric; whatever comes later is counted together under OTHER."""

OTHER: Final = "other"

M = TypeVar("M", bound=MetricWrapperBase)


class Bounded(Generic[M]):
    """A metric with its children at hand, by their label values.

    The library looks a child up under a lock and turns every label into text: this does so once.
    """

    def __init__(self, metric: M, labels: Sequence[str], max_children: int = MAX_CHILDREN) -> None:
        self._metric = metric
        self._width = len(labels)
        self._max_children = max_children
        self._children: dict[tuple[object, ...], M] = {}

    def of(self, *values: object) -> M:
        """The child with these label values, or the one that stands for all others."""
        child = self._children.get(values)
        return self._make(values) if child is None else child

    def _make(self, values: tuple[object, ...]) -> M:
        if len(self._children) >= self._max_children:
            return self._metric.labels(*[OTHER] * self._width)
        child = self._children[values] = self._metric.labels(*map(str, values))
        return child


def bounded_counter(
    registry: CollectorRegistry, name: str, text: str, *labels: str
) -> Bounded[Counter]:
    """A counter named `keybroker_<name>`; `text` ends with its cardinality bound."""
    return Bounded(Counter(f"keybroker_{name}", text, labels, registry=registry), labels)
