"""One replica's view of a provider: what the log confirmed, and its own facts on top."""

from dataclasses import dataclass

from broker.core.facts import Fact
from broker.core.fold import Change, fold
from broker.core.health import Health


@dataclass(frozen=True, slots=True)
class Logged:
    """A fact as the log holds it: its place, log time and age at append, in seconds."""

    position: int
    at: float
    age_s: float
    fact: Fact


@dataclass(frozen=True, slots=True)
class Pending:
    """A fact of this replica that the log has not confirmed; it happened at this log time."""

    happened: float
    fact: Fact


class ReplicaHealth:
    """Confirmed health plus optimistic local facts; every replica converges to the log's order.

    `view` is what decisions read. Positions at or below the last are repeats and change nothing.
    """

    def __init__(self) -> None:
        self.confirmed = Health()
        self.view = self.confirmed
        self.position = 0
        self._pending: dict[str, Pending] = {}

    @property
    def pending(self) -> list[Pending]:
        """Facts the log has not confirmed, oldest first."""
        return list(self._pending.values())

    def is_pending(self, fact: Fact) -> bool:
        """Is the fact this replica's own, and not confirmed yet?"""
        return fact.fact_id in self._pending

    def would_change(self, fact: Fact, now: float) -> list[Change]:
        """What folding `fact` now would change; what changes nothing is not worth logging."""
        return fold(Health(self.view), fact, now, 0.0)

    def fold_own(self, fact: Fact, now: float) -> list[Change]:
        """Fold a fact of this replica at once, before the log has it."""
        if fact.fact_id in self._pending or self.view.has_seen(fact.fact_id, now):
            return []
        if not self._pending:
            self.view = Health(self.confirmed)
        self._pending[fact.fact_id] = Pending(now, fact)
        return fold(self.view, fact, now, 0.0)

    def confirm(self, logged: Logged) -> list[Change]:
        """Fold what the log delivered, then this replica's pending facts on top anew."""
        if logged.position <= self.position:
            return []
        self.position = logged.position
        changes = fold(self.confirmed, logged.fact, logged.at, logged.age_s)
        self._pending.pop(logged.fact.fact_id, None)
        self._fold_pending(logged.at)
        return changes

    def begin_anew(self, restored: "ReplicaHealth", at: float) -> None:
        """Go on from what was restored of log time `at`, this replica's pending facts on top."""
        self.confirmed, self.position = restored.confirmed, restored.position
        for fact_id in [one for one in self._pending if self.confirmed.has_seen(one, at)]:
            del self._pending[fact_id]
        self._fold_pending(at)

    def _fold_pending(self, at: float) -> None:
        self.view = self.confirmed
        if self._pending:
            self.view = Health(self.confirmed)
            for pending in self._pending.values():
                age_s = max(at - pending.happened, 0.0)
                fold(self.view, pending.fact, max(at, pending.happened), age_s)
