"""Retries after provider faults are a fifth of the requests, or ten."""

from broker.core.retries import MIN_RETRIES, WINDOW_S, RetryBudget
from tests.unit.core.given import NOW


def spent(retries: int, requests: int) -> RetryBudget:
    budget = RetryBudget()
    for _ in range(requests):
        budget.note_request(NOW)
    for _ in range(retries):
        budget.note_retry(NOW)
    return budget


def test_an_idle_upstream_may_be_retried_ten_times() -> None:
    assert spent(MIN_RETRIES - 1, 0).has_left(NOW)
    assert not spent(MIN_RETRIES, 0).has_left(NOW)


def test_a_busy_upstream_may_be_retried_for_a_fifth_of_its_requests() -> None:
    assert spent(19, 100).has_left(NOW)
    assert not spent(20, 100).has_left(NOW)


def test_a_budget_comes_back_with_time() -> None:
    budget = spent(MIN_RETRIES, 0)
    assert not budget.has_left(NOW + WINDOW_S - 1.0)
    assert budget.has_left(NOW + WINDOW_S)


def test_counting_forgets_old_seconds() -> None:
    budget = spent(MIN_RETRIES, 0)
    budget.note_retry(NOW + WINDOW_S)
    assert budget.has_left(NOW + WINDOW_S)
