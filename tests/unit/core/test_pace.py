"""Rate limits as a pure decision."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.pace import Pace, take
from tests.unit.core.given import NOW

PACE = Pace(per_minute=60.0, burst=3.0)


def test_a_burst_passes_and_then_one_unit_a_second() -> None:
    due, waits = 0.0, []
    for _ in range(4):
        due, wait_s = take(PACE, due, 1.0, NOW)
        waits.append(wait_s)
    assert waits == [0.0, 0.0, 0.0, 1.0]
    assert take(PACE, due, 1.0, NOW + 1.0)[1] == 0.0


def test_a_refusal_takes_nothing() -> None:
    due = NOW + 3.0
    assert take(PACE, due, 1.0, NOW) == (due, 1.0)


def test_a_request_larger_than_the_burst_waits_for_a_full_bucket_only() -> None:
    assert take(PACE, NOW, 100.0, NOW) == (NOW + 100.0, 0.0)
    assert take(PACE, NOW + 2.0, 100.0, NOW) == (NOW + 2.0, 2.0)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.1, 5.0)), max_size=40))
def test_no_span_of_time_lets_more_through_than_the_rate_and_two_bursts(
    requests: list[tuple[float, float]],
) -> None:
    due, now, taken = 0.0, NOW, 0.0
    for after_s, units in requests:
        now += after_s
        due, wait_s = take(PACE, due, units, now)
        taken += units if wait_s == 0.0 else 0.0
    assert taken <= (now - NOW) * 1.0 + PACE.burst + 5.0 + 1e-3


@given(st.floats(0.0, 10.0), st.floats(0.1, 5.0))
def test_whoever_waits_as_told_passes(ahead_s: float, units: float) -> None:
    due, wait_s = take(PACE, NOW + ahead_s, units, NOW)
    assert wait_s == 0.0 or take(PACE, due, units, NOW + wait_s + 1e-6)[1] == 0.0
