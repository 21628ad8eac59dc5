"""What a scrape shows."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from broker.adapters.prometheus import PrometheusMeter
from broker.adapters.prometheus.bounded import MAX_CHILDREN
from broker.adapters.prometheus.gauges import MAX_KEYS
from broker.core.words import DenialReason, Family, Kind, ProbeResult, Provenance, State
from broker.ports.gauges import StatusGauges
from tests.fakes import FakeClock

MODELS = {"openai": frozenset({"gpt-4o", "o3"}), "groq": frozenset({"llama"})}
GAUGES = StatusGauges(
    states=("healthy", "cooling_down", "quarantined"),
    pool_keys={("openai", "healthy"): 2, ("openai", "quarantined"): 1},
    key_states={("openai", "openai/1"): "healthy", ("openai", "openai/2"): "quarantined"},
    pending_facts=3,
    is_store_up=False,
    source_ages_s={"environment": 12.5},
)


class Scrape:
    """A meter and what its registry shows."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.gauges = GAUGES
        self.fault: Exception | None = None
        self.meter = PrometheusMeter(self.registry, self.clock, MODELS.get, self.take_gauges)

    def take_gauges(self) -> StatusGauges:
        if self.fault is not None:
            raise self.fault
        return self.gauges

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"keybroker_{name}", labels)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


def test_every_count_has_its_metric_and_labels(scrape: Scrape) -> None:
    meter = scrape.meter
    meter.granted("openai", "gpt-4o", Provenance.SYSTEM)
    meter.ended("reported")
    meter.denied("openai", DenialReason.NO_KEYS)
    meter.judged("openai", "gpt-4o", Kind.RATE_LIMITED)
    meter.judged_unknown("openai", 418)
    meter.transitioned("openai", Family.QUOTA, State.CLOSED, State.OPEN, "QUOTA_EXHAUSTED")
    meter.recovered(Family.QUOTA, "trial", 20.0)
    meter.probed("openai", ProbeResult.REJECTED)
    meter.served_from_cache("openai", "gpt-4o", 7)
    value = scrape.value
    assert value("leases_granted_total", provider="openai", model="gpt-4o", provenance="SYSTEM")
    assert value("leases_ended_total", how="reported")
    assert value("denials_total", provider="openai", reason="NO_KEYS")
    assert value("outcomes_total", provider="openai", model="gpt-4o", kind="RATE_LIMITED")
    assert value("unknown_verdicts_total", provider="openai", status="418")
    transition = {"family": "quota", "from": "closed", "to": "open", "reason": "QUOTA_EXHAUSTED"}
    assert value("circuit_transitions_total", provider="openai", **transition)
    assert value("recoveries_total", healed_by="trial")
    assert value("probes_total", provider="openai", result="REJECTED")
    assert value("cache_served_total", provider="openai", model="gpt-4o") == 7.0


def test_measurements_fall_into_buckets(scrape: Scrape) -> None:
    scrape.meter.acquired_in(0.0002)
    scrape.meter.tried_keys(2)
    scrape.meter.recovered(Family.LIMIT, "time", 20.0)
    assert scrape.value("acquire_seconds_bucket", le="0.0001") == 0.0
    assert scrape.value("acquire_seconds_bucket", le="0.00025") == 1.0
    assert scrape.value("keys_tried_per_request_bucket", le="2.0") == 1.0
    assert scrape.value("open_seconds_bucket", family="limit", le="60.0") == 1.0


def test_models_and_providers_that_are_not_known_are_other(scrape: Scrape) -> None:
    """Callers choose these names: each would otherwise be a series for ever."""
    for number in range(10):
        scrape.meter.judged("openai", f"made-up-{number}", Kind.OK)
        scrape.meter.judged(f"made-up-{number}", "gpt-4o", Kind.OK)
        scrape.meter.denied(f"made-up-{number}", DenialReason.NO_KEYS)
    assert "made-up" not in scrape.text()
    assert scrape.value("outcomes_total", provider="openai", model="other", kind="OK") == 10.0
    assert scrape.value("outcomes_total", provider="other", model="other", kind="OK") == 10.0
    assert scrape.value("denials_total", provider="other", reason="NO_KEYS") == 10.0


def test_a_metric_stops_growing_at_its_bound(scrape: Scrape) -> None:
    for number in range(MAX_CHILDREN + 50):
        scrape.meter.judged_unknown("openai", number)
    assert scrape.text().count("unknown_verdicts_total{") == MAX_CHILDREN + 1
    assert scrape.value("unknown_verdicts_total", provider="other", status="other") == 50.0


def test_gauges_are_taken_at_each_scrape(scrape: Scrape) -> None:
    assert scrape.value("pool_keys", provider="openai", state="healthy") == 2.0
    assert scrape.value("key_state", provider="openai", key="openai/2") == 2.0
    assert scrape.value("pending_facts") == 3.0
    assert scrape.value("store_up") == 0.0
    assert scrape.value("source_age_seconds", source="environment") == 12.5
    scrape.gauges = StatusGauges()
    assert scrape.value("pool_keys", provider="openai", state="healthy") is None
    assert scrape.value("store_up") == 1.0


def test_the_help_of_key_state_says_what_its_numbers_mean(scrape: Scrape) -> None:
    assert "0 healthy, 1 cooling_down, 2 quarantined" in scrape.text()


def test_sources_are_shown_with_what_is_wrong_with_them(scrape: Scrape) -> None:
    scrape.gauges = StatusGauges(
        all_source_states=("read", "faulty", "copy", "stale"),
        source_states={"environment": "read", "secrets-manager": "copy"},
        stale_keys={"openai": 3},
    )
    assert scrape.value("source_state", source="environment") == 0.0
    assert scrape.value("source_state", source="secrets-manager") == 2.0
    assert scrape.value("stale_keys", provider="openai") == 3.0
    assert "0 read, 1 faulty, 2 copy, 3 stale" in scrape.text()


def test_no_more_than_the_bound_of_keys_have_a_state(scrape: Scrape) -> None:
    keys = {("openai", f"openai/{number}"): "healthy" for number in range(MAX_KEYS + 50)}
    scrape.gauges = StatusGauges(states=("healthy",), key_states=keys)
    assert scrape.text().count("keybroker_key_state{") == MAX_KEYS


def test_a_fault_in_taking_gauges_does_not_cost_the_counters(scrape: Scrape) -> None:
    scrape.meter.ended("reported")
    scrape.fault = RuntimeError("not wired yet")
    assert "keybroker_leases_ended_total{" in scrape.text()
    assert "pool_keys" not in scrape.text()


def test_registering_takes_no_gauges() -> None:
    """They are of services that are wired later."""
    taken: list[bool] = []

    def take_gauges() -> StatusGauges:
        taken.append(True)
        return StatusGauges()

    PrometheusMeter(CollectorRegistry(), FakeClock(), MODELS.get, take_gauges)
    assert taken == []


def test_the_time_since_a_success_counts_ok_outcomes_only(scrape: Scrape) -> None:
    assert scrape.value("seconds_since_last_success", provider="openai") is None
    scrape.meter.judged("openai", "gpt-4o", Kind.OK)
    scrape.clock.advance(30.0)
    scrape.meter.judged("openai", "gpt-4o", Kind.SERVER_ERROR)
    assert scrape.value("seconds_since_last_success", provider="openai") == 30.0


def test_every_help_text_states_its_cardinality_bound(scrape: Scrape) -> None:
    helps = re.findall(r"^# HELP (keybroker_\w+) (.*)$", scrape.text(), re.MULTILINE)
    assert len(helps) == 20
    assert [name for name, text in helps if "Bound: " not in text] == []


def test_no_counter_has_a_second_series_for_its_birth(scrape: Scrape) -> None:
    scrape.meter.ended("reported")
    assert "_created" not in scrape.text()
