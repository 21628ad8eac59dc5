"""When quota windows end."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from broker.core.verdicts.dialect import Dialect, ErrorSites, QuotaResets
from broker.core.words import QuotaWindow

PACIFIC = ZoneInfo("America/Los_Angeles")


def dialect(resets: QuotaResets) -> Dialect:
    sites = ErrorSites(fields={}, message=())
    return Dialect("d", "D", "https://d.test", errors=sites, rules=(), resets=resets)


@pytest.mark.parametrize(
    ("resets", "window", "now", "end"),
    [
        (QuotaResets(), QuotaWindow.HOUR, "2026-03-05T10:15:30Z", "2026-03-05T11:00:00Z"),
        (QuotaResets(), QuotaWindow.DAY, "2026-03-05T10:15:30Z", "2026-03-06T00:00:00Z"),
        (QuotaResets(), QuotaWindow.DAY, "2026-03-06T00:00:00Z", "2026-03-07T00:00:00Z"),
        (QuotaResets(), QuotaWindow.MONTH, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        (QuotaResets(), QuotaWindow.MONTH, "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"),
        (QuotaResets(UTC, 8), QuotaWindow.DAY, "2026-03-05T07:00:00Z", "2026-03-05T08:00:00Z"),
        (QuotaResets(UTC, 8), QuotaWindow.DAY, "2026-03-05T08:00:00Z", "2026-03-06T08:00:00Z"),
        (QuotaResets(UTC, 8), QuotaWindow.MONTH, "2026-03-01T07:00:00Z", "2026-03-01T08:00:00Z"),
        (QuotaResets(PACIFIC), QuotaWindow.DAY, "2026-01-05T20:00:00Z", "2026-01-06T08:00:00Z"),
        # The night on which the clocks go forward has 23 hours.
        (QuotaResets(PACIFIC), QuotaWindow.DAY, "2026-03-08T08:30:00Z", "2026-03-09T07:00:00Z"),
    ],
)  # fmt: skip
def test_a_window_ends_at_the_next_reset_of_the_providers_clock(
    resets: QuotaResets, window: QuotaWindow, now: str, end: str
) -> None:
    started, ended = (datetime.fromisoformat(text).timestamp() for text in (now, end))
    assert dialect(resets).window_end_s(window, started) == ended - started
