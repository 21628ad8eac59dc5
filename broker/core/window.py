"""Upstream health: final outcomes of requests over the last minute, one window an upstream."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from broker.core.health import Counts
from broker.core.words import ScopeKind

WINDOW_S = 60.0
MIN_OUTCOMES = 20
FAILED_SHARE = 0.5
MAX_CONSECUTIVE = 10


class UpstreamWindow:
    """One upstream's counts as this replica saw them, by second of log time and principal.

    A window starts empty at each reopening: calls that started before it do not count.
    """

    def __init__(self, since: float = 0.0) -> None:
        self.since = since
        self._seconds: dict[int, dict[str, Counts]] = {}
        self._unpublished: dict[tuple[int, str], Counts] = {}
        self._in_a_row: dict[str, int] = defaultdict(int)
        self._unreachable_in_a_row: dict[str, int] = defaultdict(int)
        self._reached_since: dict[str, float] = {}

    def restart(self, since: float) -> None:
        """Begin anew at a reopening."""
        self.since = since
        self._seconds.clear()
        self._unpublished.clear()
        self._in_a_row.clear()
        self._unreachable_in_a_row.clear()

    def restart_of(self, principal: str, since: float) -> None:
        """Begin anew with what one principal could not reach, at its own circuit's reopening."""
        self._reached_since[principal] = since
        for second, by_principal in self._seconds.items():
            counts = by_principal.get(principal, Counts())
            if counts.unreachable:
                self._add(principal, Counts(unreachable=-counts.unreachable), second)
        self._unreachable_in_a_row.pop(principal, None)

    def note(self, principal: str, counts: Counts, started: float, second: int) -> bool:
        """Count a final outcome of a call that `started` then; say whether it belongs here."""
        since = self._reached_since.get(principal, 0.0) if counts.unreachable else 0.0
        if started < max(self.since, since):
            return False
        self._add(principal, counts, second)
        if counts.succeeded > 0:
            self._in_a_row.clear()
            self._unreachable_in_a_row.pop(principal, None)
        elif counts.failed:
            self._in_a_row[""] += counts.failed
        elif counts.unreachable:
            self._unreachable_in_a_row[principal] += counts.unreachable
        return True

    def take_back(self, principal: str, counts: Counts, second: int) -> None:
        """Uncount an outcome that turned out not to be final, if the window still holds it."""
        if principal not in self._seconds.get(second, {}):
            return
        self._add(principal, Counts(-counts.succeeded, -counts.failed, -counts.unreachable), second)
        if counts.failed:
            self._in_a_row[""] = max(0, self._in_a_row[""] - counts.failed)
        if counts.unreachable:
            left = self._unreachable_in_a_row[principal] - counts.unreachable
            self._unreachable_in_a_row[principal] = max(0, left)

    def totals(self, now: float) -> dict[str, Counts]:
        """This replica's counts by principal over the window that ends `now`."""
        oldest = int(now - WINDOW_S)
        for second in [second for second in self._seconds if second <= oldest]:
            del self._seconds[second]
        sums: dict[str, Counts] = {}
        for by_principal in self._seconds.values():
            for principal, counts in by_principal.items():
                sums[principal] = sums.get(principal, Counts()).plus(counts)
        return sums

    def holds_fault(self, now: float) -> bool:
        """Does the window hold a fault, or has it just lost one: other replicas need its counts."""
        lost = any(min(counts) < 0 for counts in self._unpublished.values())
        return lost or any(
            counts.failed or counts.unreachable for counts in self.totals(now).values()
        )

    def publish(self, now: float) -> Iterator[tuple[int, str, Counts]]:
        """Take the (second, principal, counts) that other replicas have not been told."""
        oldest = int(now - WINDOW_S)
        taken, self._unpublished = self._unpublished, {}
        for (second, principal), counts in taken.items():
            if second > oldest and any(counts):
                yield second, principal, counts

    def forget_unpublished(self, now: float) -> None:
        """Let counts that nobody needed go with the window."""
        oldest = int(now - WINDOW_S)
        for key in [key for key in self._unpublished if key[0] <= oldest]:
            del self._unpublished[key]

    def judge(
        self,
        principal: str,
        counts: Counts,
        totals: Mapping[str, Counts],
        *,
        probe_agrees: bool = False,
    ) -> ScopeKind | None:
        """The scope that a failure just counted trips, given the fleet's totals; None for none."""
        if counts.unreachable:
            return self._judge_unreachable(principal, totals, probe_agrees=probe_agrees)
        succeeded = sum(total.succeeded for total in totals.values())
        failed = sum(total.failed for total in totals.values())
        if self._in_a_row[""] >= MAX_CONSECUTIVE or _trips(succeeded, failed):
            return ScopeKind.UPSTREAM
        return None

    def _judge_unreachable(
        self, principal: str, totals: Mapping[str, Counts], *, probe_agrees: bool
    ) -> ScopeKind | None:
        mine = totals.get(principal, Counts())
        in_a_row = self._unreachable_in_a_row[principal]
        if in_a_row < MAX_CONSECUTIVE and not _trips(mine.succeeded, mine.unreachable):
            return None
        others = [total for name, total in totals.items() if name != principal and any(total)]
        agreed = any(
            total.unreachable > 0 and total.unreachable >= FAILED_SHARE * sum(total)
            for total in others
        )
        if not others or agreed or probe_agrees:
            return ScopeKind.UPSTREAM
        return ScopeKind.UPSTREAM_PRINCIPAL

    def _add(self, principal: str, counts: Counts, second: int) -> None:
        by_principal = self._seconds.setdefault(second, {})
        by_principal[principal] = by_principal.get(principal, Counts()).plus(counts)
        key = (second, principal)
        self._unpublished[key] = self._unpublished.get(key, Counts()).plus(counts)


def _trips(succeeded: int, failed: int) -> bool:
    total = succeeded + failed
    return total >= MIN_OUTCOMES and failed >= FAILED_SHARE * total
