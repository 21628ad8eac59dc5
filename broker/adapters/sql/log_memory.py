"""What a process knows of one provider's log: how far it goes, recent ids, and who reads it."""

from collections.abc import Iterable

from broker.core.health import FACT_MEMORY_S
from broker.core.replica import Logged
from broker.ports.fact_log import Deliver, Lost


class Follower:
    """One reader, how far it has come, and what came before it could begin."""

    def __init__(self, after: int, deliver: Deliver, lost: Lost) -> None:
        self.is_stopped = False
        self._position = after
        self._deliver = deliver
        self._lost = lost
        self._held: list[Logged] | None = []

    @property
    def has_begun(self) -> bool:
        """Was it told what was kept before it?"""
        return self._held is None

    def begin(self, kept: Iterable[Logged]) -> None:
        """Deliver what was kept, and what came meanwhile."""
        held, self._held = self._held or [], None
        for entry in (*kept, *held):
            self.take(entry)

    def take(self, entry: Logged) -> None:
        """Deliver an entry that is new to it."""
        if self._held is not None:
            self._held.append(entry)
        elif not self.is_stopped and entry.position > self._position:
            self._position = entry.position
            self._deliver(entry)

    def lose(self) -> None:
        """Say that what comes next is gone, and deliver nothing more."""
        if not self.is_stopped:
            self.is_stopped = True
            self._lost()


class ProviderLog:
    """Where one provider's log ends, the ids it remembers, and its readers.

    Its `epoch` counts how often it was begun anew.
    """

    def __init__(self, position: int = 0, at: float = 0.0, recent: Iterable[Logged] = ()) -> None:
        self.position = position
        self.at = at
        self.epoch = 0
        self.followers: list[Follower] = []
        self._by_id = {entry.fact.fact_id: entry for entry in recent}

    def tick(self, now: float) -> float:
        """Move log time to `now`, never back, and forget ids."""
        self.at = max(self.at, now)
        while self._by_id:
            oldest = next(iter(self._by_id.values()))
            if oldest.at > self.at - FACT_MEMORY_S:
                break
            del self._by_id[oldest.fact.fact_id]
        return self.at

    def recall(self, fact_id: str) -> Logged | None:
        """The entry of an id that is still remembered."""
        return self._by_id.get(fact_id)

    def add(self, entry: Logged) -> None:
        """Remember an entry as the last."""
        self.position = max(self.position, entry.position)
        self._by_id.pop(entry.fact.fact_id, None)  # forgetting relies on the order of time
        self._by_id[entry.fact.fact_id] = entry

    def deliver(self, entry: Logged) -> None:
        """Remember an entry, and hand it to every reader."""
        self.add(entry)
        for follower in tuple(self.followers):
            follower.take(entry)

    def move(self, position: int, at: float) -> None:
        """The log ends there, also if the last entries cannot be read."""
        self.position = position
        self.tick(at)

    def begin_anew(self, position: int, at: float, recent: Iterable[Logged]) -> None:
        """It does not go on from what was known: know this of it, and let its readers know."""
        self.epoch += 1
        self.position, self.at = position, at
        self._by_id = {entry.fact.fact_id: entry for entry in recent}
        for follower in tuple(self.followers):
            if follower.has_begun:
                self.leave_lost(follower)

    def follow(self, after: int, deliver: Deliver, lost: Lost) -> Follower:
        """A new reader, which waits until it begins."""
        follower = Follower(after, deliver, lost)
        self.followers.append(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Deliver nothing more to a reader; twice is no fault."""
        follower.is_stopped = True
        if follower in self.followers:
            self.followers.remove(follower)

    def leave_lost(self, follower: Follower) -> None:
        """Deliver nothing more to a reader, who must begin anew."""
        self.followers.remove(follower)
        follower.lose()
