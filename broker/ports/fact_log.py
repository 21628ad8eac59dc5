"""The ordered log of facts that all replicas of a fleet fold."""

from collections.abc import Callable
from typing import Protocol

from broker.core.facts import Fact
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot

Deliver = Callable[[Logged], None]
"""Called in the event loop with each entry; must not block or raise."""

Lost = Callable[[], None]
"""Called in the event loop, once; must not block or raise."""


def no_matter() -> None:
    """For followers that begin at the log's beginning, or do not care."""


class FactLog(Protocol):
    """One order of facts per provider."""

    async def append(self, fact: Fact, age_s: float) -> Logged:
        """Append a fact that happened `age_s` seconds ago; durable as far as the log is.

        Positions of a provider grow by one; log time never goes back. A fact id that the log still
        remembers is not appended again: the first entry is returned. Raises StoreUnavailableError.
        """
        ...

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        """Deliver the provider's entries with positions above `after`, in order, at least once.

        Entries already there are delivered before this returns. Returns the call that stops it.
        An entry that cannot be read is left out, and logged. Where the entries that come next are
        gone, or are not those of the log that was followed, nothing more is delivered and `lost` is
        called: begin anew from the newest snapshot. Raises StoreUnavailableError.
        """
        ...

    async def snapshot(self, provider: str) -> Snapshot | None:
        """The newest snapshot that can be read; the log has every entry after its position.

        Raises StoreUnavailableError, and StoreUnusableError where there are snapshots and none can
        be read.
        """
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, durable as far as the log is, and forget entries it makes needless.

        Raises StoreUnavailableError.
        """
        ...
