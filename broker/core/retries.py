"""The retry budget: retries after provider faults must not become the load that keeps it down."""

WINDOW_S = 10.0
RETRY_SHARE = 0.2
MIN_RETRIES = 10


class RetryBudget:
    """One upstream's requests and retries over the last WINDOW_S, on this replica."""

    __slots__ = ("_requests", "_retries")

    def __init__(self) -> None:
        self._requests: dict[int, int] = {}
        self._retries: dict[int, int] = {}

    def note_request(self, now: float) -> None:
        """Count a first try."""
        _count(self._requests, now)

    def note_retry(self, now: float) -> None:
        """Count a retry after a provider fault."""
        _count(self._retries, now)

    def has_left(self, now: float) -> bool:
        """May another request be retried: at most 20 % of requests, or MIN_RETRIES."""
        allowed = max(MIN_RETRIES, RETRY_SHARE * _sum(self._requests, now))
        return _sum(self._retries, now) < allowed


def _count(seconds: dict[int, int], now: float) -> None:
    second = int(now)
    if second not in seconds:
        _sum(seconds, now)
        seconds[second] = 0
    seconds[second] += 1


def _sum(seconds: dict[int, int], now: float) -> int:
    oldest = now - WINDOW_S
    for second in [second for second in seconds if second <= oldest]:
        del seconds[second]
    return sum(seconds.values())
