"""What the last day saw too often to be told one by one: counts by the hour."""

from collections import Counter, deque

from broker.ports.clock import Clock

HOUR_S = 3600.0
HOURS = 24


class Tally:
    """Denials by reason and unknown verdicts by provider, of this process and day."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._hours: deque[tuple[int, Counter[tuple[str, str]]]] = deque(maxlen=HOURS + 1)

    def denied(self, reason: str) -> None:
        """Count a denial."""
        self._hour()["denial", reason] += 1

    def did_not_understand(self, provider: str) -> None:
        """Count a verdict that no rule gave."""
        self._hour()["unknown", provider] += 1

    def denials(self) -> dict[str, int]:
        """Denials of the last day by reason."""
        return self._sum("denial")

    def unknown_verdicts(self) -> dict[str, int]:
        """Verdicts of the last day that no rule gave, by provider."""
        return self._sum("unknown")

    @property
    def since(self) -> float:
        """Since when it counts: a day ago, or the start of this process."""
        return max(self._began, self._clock.now() - HOURS * HOUR_S)

    def _sum(self, what: str) -> dict[str, int]:
        oldest = self._clock.now() // HOUR_S - HOURS
        total = Counter[str]()
        for hour, counts in self._hours:
            if hour > oldest:
                total.update({name: n for (kind, name), n in counts.items() if kind == what})
        return dict(total.most_common())

    def _hour(self) -> Counter[tuple[str, str]]:
        hour = int(self._clock.now() // HOUR_S)
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append((hour, Counter()))
        return self._hours[-1][1]
