"""A log of facts for one process: append delivers before it returns."""

from collections import deque
from collections.abc import Callable
from itertools import islice

from broker.core.facts import Fact
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.clock import Clock
from broker.ports.fact_log import Deliver, Lost, no_matter

REMEMBERED_S = 15 * 60.0
"""How long the log knows a fact's id again, in log time."""

MAX_ENTRIES = 100_000
"""Entries a provider keeps for those that follow later; the oldest go first."""


class MemoryFactLog:
    """The fact log of a process that shares its health with nobody; never unavailable."""

    def __init__(self, clock: Clock, *, max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._logs: dict[str, _ProviderLog] = {}

    async def append(self, fact: Fact, age_s: float) -> Logged:
        """Append and deliver; what a deliver call appends in turn is delivered after it."""
        log = self._log(fact.provider)
        known = log.recall(fact.fact_id, self._clock.now())
        if known is not None:
            return known
        logged = log.add(fact, age_s)
        for follower in tuple(log.followers):
            log.pump(follower)
        return logged

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        """Deliver what is kept above `after`, then each entry within the append that makes it."""
        log = self._log(provider)
        follower = _Follower(after, deliver)
        log.followers.append(follower)
        log.pump(follower)

        def stop() -> None:
            if follower in log.followers:
                log.followers.remove(follower)

        return stop

    async def snapshot(self, provider: str) -> Snapshot | None:
        """The last one that was saved."""
        return self._log(provider).snapshot

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep it in place of an earlier one; entries go by their number alone."""
        log = self._log(snapshot.provider)
        if log.snapshot is None or snapshot.position >= log.snapshot.position:
            log.snapshot = snapshot

    def _log(self, provider: str) -> "_ProviderLog":
        log = self._logs.get(provider)
        if log is None:
            log = self._logs[provider] = _ProviderLog(self._max_entries)
        return log


class _Follower:
    """One reader and how far it has come."""

    __slots__ = ("deliver", "is_busy", "position")

    def __init__(self, after: int, deliver: Deliver) -> None:
        self.position = after
        self.deliver = deliver
        self.is_busy = False


class _ProviderLog:
    """One provider's entries in order, the ids it remembers, and its readers."""

    def __init__(self, max_entries: int) -> None:
        self.followers: list[_Follower] = []
        self.snapshot: Snapshot | None = None
        self._entries: deque[Logged] = deque(maxlen=max_entries)
        self._by_id: dict[str, Logged] = {}
        self._position = 0
        self._at = 0.0

    def recall(self, fact_id: str, now: float) -> Logged | None:
        """The entry of an id that is still remembered; moves log time to `now`."""
        self._at = max(self._at, now)
        while self._by_id:
            oldest = next(iter(self._by_id.values()))
            if oldest.at > self._at - REMEMBERED_S:
                break
            del self._by_id[oldest.fact.fact_id]
        return self._by_id.get(fact_id)

    def add(self, fact: Fact, age_s: float) -> Logged:
        """The next entry, at the log's present time."""
        self._position += 1
        logged = Logged(self._position, self._at, max(age_s, 0.0), fact)
        self._entries.append(logged)
        self._by_id[fact.fact_id] = logged
        return logged

    def pump(self, follower: _Follower) -> None:
        """Deliver all that is due; within its own deliver call a follower waits for its turn."""
        if follower.is_busy:
            return
        follower.is_busy = True
        try:
            while follower.position < self._position:
                for logged in self._due(follower.position):
                    if follower not in self.followers:
                        return
                    follower.position = logged.position
                    follower.deliver(logged)
        finally:
            follower.is_busy = False

    def _due(self, position: int) -> list[Logged]:
        newest_first = islice(reversed(self._entries), self._position - position)
        return list(newest_first)[::-1]
