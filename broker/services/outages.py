"""How long upstreams were open, read back from the events that told of it."""

from dataclasses import dataclass, field

from broker.ports.event_history import Event


@dataclass(slots=True)
class _Upstream:
    """`counted_from` is how far back it was looked at; `was_down` says how it was before that."""

    counted_from: float
    down_s: float = 0.0
    was_down: bool = False


@dataclass(slots=True)
class Outages:
    """The share of a span that each upstream was not open in; `note` takes the latest event first.

    An upstream that no event is about had no outage, or no calls: it is not in the answer.
    """

    began: float
    ends: float
    _upstreams: dict[str, _Upstream] = field(default_factory=dict)

    def note(self, event: Event) -> None:
        """Take an event of the span, of whatever kind."""
        said = event.attributes
        if said.get("family") != "health" or said.get("scope") != "upstream":
            return
        name = f"{event.provider}/{event.model}"
        upstream = self._upstreams.setdefault(name, _Upstream(self.ends))
        if said.get("to") == "open":
            upstream.down_s += max(upstream.counted_from - event.at, 0.0)
        upstream.counted_from = event.at
        upstream.was_down = said.get("from") in {"open", "half_open"}

    def uptimes(self) -> dict[str, float]:
        """The share by `provider/model`, the worst first."""
        shares = {name: self._uptime(upstream) for name, upstream in self._upstreams.items()}
        return dict(sorted(shares.items(), key=lambda item: item[1]))

    def _uptime(self, upstream: _Upstream) -> float:
        before_s = upstream.counted_from - self.began if upstream.was_down else 0.0
        return 1.0 - min((upstream.down_s + before_s) / (self.ends - self.began), 1.0)
