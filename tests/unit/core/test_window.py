"""An upstream's window counts final outcomes of requests, as one principal and the fleet see it."""

import pytest

from broker.core.health import Counts
from broker.core.window import MAX_CONSECUTIVE, MIN_OUTCOMES, WINDOW_S, UpstreamWindow
from broker.core.words import ScopeKind
from tests.unit.core.given import NOW

SECOND = int(NOW)
SUCCEEDED = Counts(succeeded=1)
FAILED = Counts(failed=1)
UNREACHABLE = Counts(unreachable=1)


def window_of(succeeded: int = 0, failed: int = 0, unreachable: int = 0) -> UpstreamWindow:
    """A window that counted these outcomes of one principal, successes first."""
    window = UpstreamWindow()
    for counts, number in ((SUCCEEDED, succeeded), (FAILED, failed), (UNREACHABLE, unreachable)):
        for _ in range(number):
            assert window.note("gateway", counts, NOW, SECOND)
    return window


def judged(window: UpstreamWindow, counts: Counts = FAILED) -> ScopeKind | None:
    return window.judge("gateway", counts, window.totals(NOW))


# --- Trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("succeeded", "failed", "tripped"),
    [
        (0, MAX_CONSECUTIVE - 1, None),
        (0, MAX_CONSECUTIVE, ScopeKind.UPSTREAM),
        (11, 9, None),
        (1000, 9, None),
    ],
)
def test_ten_failures_in_a_row_trip_and_a_few_among_many_successes_do_not(
    succeeded: int, failed: int, tripped: ScopeKind | None
) -> None:
    assert judged(window_of(succeeded, failed)) is tripped


def test_half_of_twenty_outcomes_trip_even_when_successes_come_in_between() -> None:
    window = UpstreamWindow()
    for _ in range(MIN_OUTCOMES // 2 - 1):
        window.note("gateway", SUCCEEDED, NOW, SECOND)
        window.note("gateway", FAILED, NOW, SECOND)
    window.note("gateway", SUCCEEDED, NOW, SECOND)
    assert judged(window) is None
    window.note("gateway", FAILED, NOW, SECOND)
    assert judged(window) is ScopeKind.UPSTREAM


def test_the_fleets_sums_trip_also_what_one_replica_saw_little_of() -> None:
    window = window_of(failed=1)
    totals = {"gateway": Counts(failed=6), "other": Counts(succeeded=8, failed=6)}
    assert window.judge("gateway", FAILED, totals) is ScopeKind.UPSTREAM


def test_one_percent_of_errors_never_trips() -> None:
    window = UpstreamWindow()
    for number in range(6000):
        counts = FAILED if number % 100 == 0 else SUCCEEDED
        window.note("gateway", counts, NOW, SECOND)
        assert counts is SUCCEEDED or judged(window) is None


# --- Unreachable may be the caller's own network --------------------------------------------


def test_a_lone_principal_that_reaches_nothing_speaks_for_the_upstream() -> None:
    assert judged(window_of(unreachable=9), UNREACHABLE) is None
    assert judged(window_of(unreachable=10), UNREACHABLE) is ScopeKind.UPSTREAM


def test_an_unreachable_upstream_that_others_reach_is_the_principals_own_trouble() -> None:
    window = window_of(unreachable=10)
    window.note("other", SUCCEEDED, NOW, SECOND)
    assert judged(window, UNREACHABLE) is ScopeKind.UPSTREAM_PRINCIPAL


def test_a_second_principal_or_a_probe_that_agrees_makes_it_the_upstreams_trouble() -> None:
    window = window_of(unreachable=10)
    window.note("other", SUCCEEDED, NOW, SECOND)
    totals = window.totals(NOW)
    agreed = window.judge("gateway", UNREACHABLE, totals, probe_agrees=True)
    assert agreed is ScopeKind.UPSTREAM
    window.note("other", UNREACHABLE, NOW, SECOND)
    assert judged(window, UNREACHABLE) is ScopeKind.UPSTREAM


def test_a_principal_without_traffic_in_the_window_has_no_say() -> None:
    totals = {"gateway": Counts(unreachable=10), "silent": Counts()}
    window = window_of(unreachable=10)
    assert window.judge("gateway", UNREACHABLE, totals) is ScopeKind.UPSTREAM


def test_the_rate_of_unreachable_calls_trips_too() -> None:
    window = UpstreamWindow()
    for _ in range(10):
        window.note("gateway", UNREACHABLE, NOW, SECOND)
        window.note("gateway", SUCCEEDED, NOW, SECOND)
    window.note("gateway", UNREACHABLE, NOW, SECOND)
    assert judged(window, UNREACHABLE) is ScopeKind.UPSTREAM


def test_unreachable_calls_of_a_principal_not_in_the_sums_trip_nothing() -> None:
    assert UpstreamWindow().judge("gateway", UNREACHABLE, {}) is None


def test_failures_and_unreachable_calls_are_counted_in_a_row_apart() -> None:
    assert judged(window_of(failed=9, unreachable=9)) is None


# --- Counts are signed ----------------------------------------------------------------------


def test_a_fault_taken_back_counts_no_more() -> None:
    window = window_of(failed=10, unreachable=10)
    window.take_back("gateway", FAILED, SECOND)
    window.take_back("gateway", UNREACHABLE, SECOND)
    assert window.totals(NOW) == {"gateway": Counts(0, 9, 9)}
    assert judged(window_of(failed=0), FAILED) is None
    assert window.judge("gateway", FAILED, {}) is None
    assert window.judge("gateway", UNREACHABLE, {}) is None


def test_a_success_taken_back_leaves_the_failures() -> None:
    window = window_of(succeeded=1, failed=3)
    window.take_back("gateway", SUCCEEDED, SECOND)
    assert window.totals(NOW) == {"gateway": Counts(failed=3)}


def test_an_outcome_of_nothing_is_noted_without_effect() -> None:
    window = UpstreamWindow()
    assert window.note("gateway", Counts(), NOW, SECOND)
    assert not window.holds_fault(NOW)


def test_a_fault_counted_before_the_reopening_is_not_taken_back_from_the_new_window() -> None:
    """Else the new window began below zero and forgave a fault it never saw."""
    window = window_of(failed=10)
    window.restart(NOW + 30.0)
    window.take_back("gateway", FAILED, SECOND)
    assert window.totals(NOW + 30.0) == {}
    assert list(window.publish(NOW + 30.0)) == []


# --- The window moves -----------------------------------------------------------------------


def test_outcomes_older_than_a_minute_are_gone() -> None:
    window = window_of(failed=3)
    assert window.holds_fault(SECOND + WINDOW_S - 1)
    assert not window.holds_fault(SECOND + WINDOW_S)
    assert window.totals(SECOND + WINDOW_S) == {}


def test_a_window_starts_empty_at_a_reopening_with_calls_started_since() -> None:
    window = window_of(failed=9, unreachable=9)
    window.restart(NOW + 5.0)
    assert window.totals(NOW + 5.0) == {}
    assert not window.note("gateway", FAILED, NOW + 4.0, SECOND + 6)
    assert window.note("gateway", FAILED, NOW + 5.0, SECOND + 6)
    assert judged(window) is None


def test_what_others_need_is_published_once_as_sums_by_second_and_principal() -> None:
    window = window_of(succeeded=2, failed=1)
    window.note("other", FAILED, NOW, SECOND + 1)
    assert list(window.publish(NOW + 1.0)) == [
        (SECOND, "gateway", Counts(2, 1, 0)),
        (SECOND + 1, "other", FAILED),
    ]
    assert list(window.publish(NOW + 1.0)) == []
    window.take_back("other", FAILED, SECOND + 1)
    assert list(window.publish(NOW + 2.0)) == [(SECOND + 1, "other", Counts(failed=-1))]


def test_sums_of_nothing_or_of_long_ago_are_not_published() -> None:
    window = window_of(failed=1)
    window.take_back("gateway", FAILED, SECOND)
    assert list(window.publish(NOW)) == []
    window.note("gateway", FAILED, NOW, SECOND)
    assert list(window.publish(SECOND + WINDOW_S)) == []


def test_counts_that_nobody_needed_go_with_the_window() -> None:
    window = window_of(succeeded=1)
    window.note("gateway", SUCCEEDED, NOW, SECOND + 30)
    window.forget_unpublished(SECOND + WINDOW_S)
    assert list(window.publish(SECOND + 31)) == [(SECOND + 30, "gateway", SUCCEEDED)]
