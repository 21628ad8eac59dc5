"""Counts for Prometheus, at a cost that the hot path does not feel."""

from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics

from broker.adapters.prometheus.bounded import OTHER, Bounded, bounded_counter
from broker.adapters.prometheus.gauges import GaugeCollector
from broker.core.words import DenialReason, Family, Kind, ProbeResult, Provenance, State
from broker.ports.clock import Clock
from broker.ports.gauges import TakeGauges

_ACQUIRE_BUCKETS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
_TRIED_BUCKETS = (1, 2, 3, 4, 5, 8, 13)
_OPEN_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)


class PrometheusMeter:
    """Counters and histograms in `registry`, and gauges that are taken when it is scraped.

    `known_models` says which models of a provider may be label values, None for a provider that is
    not configured; everything else is counted as `other`, since callers choose those names.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        clock: Clock,
        known_models: Callable[[str], Collection[str] | None],
        take_gauges: TakeGauges,
    ) -> None:
        # A second series for every counter, which nobody asks for:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._now = clock.now
        self._known_models = known_models
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._last_success: dict[str, float] = {}
        self._granted = bounded_counter(
            registry,
            "leases_granted_total",
            "Leases granted. Bound: known models + 1 per provider, x 2 provenances.",
            "provider",
            "model",
            "provenance",
        )
        self._ended = bounded_counter(
            registry, "leases_ended_total", "Leases ended. Bound: the 4 ways to end.", "how"
        )
        self._denied = bounded_counter(
            registry,
            "denials_total",
            f"Acquires denied. Bound: (providers + 1) x {len(DenialReason)} reasons.",
            "provider",
            "reason",
        )
        self._acquired_in = Histogram(
            "keybroker_acquire_seconds",
            "Time to answer an acquire, granted or denied. Bound: 1.",
            buckets=_ACQUIRE_BUCKETS,
            registry=registry,
        )
        self._judged = bounded_counter(
            registry,
            "outcomes_total",
            f"Outcomes judged. Bound: known models + 1 per provider, x {len(Kind)} kinds.",
            "provider",
            "model",
            "kind",
        )
        self._unknown = bounded_counter(
            registry,
            "unknown_verdicts_total",
            "Outcomes that no rule matched. Bound: (providers + 1) x statuses seen.",
            "provider",
            "status",
        )
        self._transitions = bounded_counter(
            registry,
            "circuit_transitions_total",
            f"Circuits that changed state. Bound: (providers + 1) x {len(Family)} families"
            f" x {len(State)} states each way x their causes.",
            "provider",
            "family",
            "from",
            "to",
            "reason",
        )
        self._open_seconds = Bounded(
            Histogram(
                "keybroker_open_seconds",
                "Time from a circuit's opening to its first lease again."
                f" Bound: {len(Family)} families.",
                ("family",),
                buckets=_OPEN_BUCKETS,
                registry=registry,
            ),
            ("family",),
        )
        self._recoveries = bounded_counter(
            registry,
            "recoveries_total",
            "Circuits that began to heal. Bound: the ways of healing.",
            "healed_by",
        )
        self._probes = bounded_counter(
            registry,
            "probes_total",
            f"Probes made. Bound: (providers + 1) x {len(ProbeResult)} results.",
            "provider",
            "result",
        )
        self._tried = Histogram(
            "keybroker_keys_tried_per_request",
            "Keys that a request's chain took. Bound: 1.",
            buckets=_TRIED_BUCKETS,
            registry=registry,
        )
        self._cached = bounded_counter(
            registry,
            "cache_served_total",
            "Requests that gateways answered from a cache. Bound: known models + 1 per provider.",
            "provider",
            "model",
        )
        registry.register(GaugeCollector(take_gauges, self._since_success))

    def granted(self, provider: str, model: str, provenance: Provenance) -> None:
        """Count a grant."""
        self._granted.of(*self._named(provider, model), provenance).inc()

    def ended(self, how: str) -> None:
        """Count a lease's end."""
        self._ended.of(how).inc()

    def denied(self, provider: str, reason: DenialReason) -> None:
        """Count a denial."""
        self._denied.of(self._named(provider, "")[0], reason).inc()

    def acquired_in(self, seconds: float) -> None:
        """Measure an acquire."""
        self._acquired_in.observe(seconds)

    def judged(self, provider: str, model: str, kind: Kind) -> None:
        """Count an outcome; an OK one is also the provider's last success."""
        provider, model = self._named(provider, model)
        self._judged.of(provider, model, kind).inc()
        if kind is Kind.OK:
            self._last_success[provider] = self._now()

    def judged_unknown(self, provider: str, http_status: int) -> None:
        """Count an outcome that no rule matched."""
        self._unknown.of(self._named(provider, "")[0], http_status).inc()

    def transitioned(
        self, provider: str, family: Family, before: State, after: State, reason: str
    ) -> None:
        """Count a circuit's change of state."""
        provider = self._named(provider, "")[0]
        self._transitions.of(provider, family, before, after, reason).inc()

    def recovered(self, family: Family, healed_by: str, open_s: float) -> None:
        """Count a recovery and measure how long it took."""
        self._recoveries.of(healed_by).inc()
        self._open_seconds.of(family).observe(open_s)

    def probed(self, provider: str, result: ProbeResult) -> None:
        """Count a probe."""
        self._probes.of(self._named(provider, "")[0], result).inc()

    def tried_keys(self, keys: int) -> None:
        """Measure a request's chain."""
        self._tried.observe(keys)

    def served_from_cache(self, provider: str, model: str, hits: int) -> None:
        """Count answers out of a gateway's cache."""
        self._cached.of(*self._named(provider, model)).inc(max(hits, 0))

    def _named(self, provider: str, model: str) -> tuple[str, str]:
        """The two as label values; what is known once stays known."""
        named = self._names.get((provider, model))
        if named is not None:
            return named
        known = self._known_models(provider)
        if known is None:
            return OTHER, OTHER
        if model and model not in known:
            return provider, OTHER
        self._names[provider, model] = provider, model
        return provider, model

    def _since_success(self) -> dict[str, float]:
        now = self._now()
        return {provider: now - at for provider, at in self._last_success.items()}
