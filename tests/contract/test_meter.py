"""What every meter promises: it takes whatever it is told, and says nothing back."""

import pytest

from broker.core.words import DenialReason, Family, Kind, ProbeResult, Provenance, State
from broker.ports.meter import Meter
from tests.contract.adapters import METERS

ODD_NAMES = ("openai", "", "\0", 'quote"', "new\nline", "ü" * 300, "\udc80")


@pytest.fixture(params=METERS)
def meter(request: pytest.FixtureRequest) -> Meter:
    return METERS[request.param]()


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_no_name_makes_a_meter_raise(meter: Meter, name: str) -> None:
    """Names of models and providers are what callers send."""
    meter.granted(name, name, Provenance.SYSTEM)
    meter.ended(name)
    meter.denied(name, DenialReason.NO_KEYS)
    meter.judged(name, name, Kind.OK)
    meter.judged_unknown(name, 299)
    meter.transitioned(name, Family.QUOTA, State.CLOSED, State.OPEN, name)
    meter.recovered(Family.QUOTA, name, 5.0)
    meter.probed(name, ProbeResult.REJECTED)
    meter.served_from_cache(name, name, 3)


@pytest.mark.parametrize("number", [0.0, 1e-9, 1e9, -1.0, float("nan"), float("inf")])
def test_no_measurement_makes_a_meter_raise(meter: Meter, number: float) -> None:
    meter.acquired_in(number)
    meter.recovered(Family.LIMIT, "time", number)


@pytest.mark.parametrize("number", [0, 1, 10**12, -1])
def test_no_count_makes_a_meter_raise(meter: Meter, number: int) -> None:
    meter.tried_keys(number)
    meter.judged_unknown("openai", number)
    meter.served_from_cache("openai", "gpt-4o", number)
