"""The ordered log of facts that all replicas of a fleet fold."""

from collections.abc import Callable
from typing import Protocol

from broker.core.facts import Fact
from broker.core.replica import Logged

Deliver = Callable[[Logged], None]
"""Called in the event loop with each entry; must not block or raise."""


class FactLog(Protocol):
    """One order of facts per provider."""

    async def append(self, fact: Fact, age_s: float) -> Logged:
        """Append a fact that happened `age_s` seconds ago; durable as far as the log is.

        Positions of a provider grow by one; log time never goes back. A fact id that the log still
        remembers is not appended again: the first entry is returned. Raises StoreUnavailableError.
        """
        ...

    def follow(self, provider: str, after: int, deliver: Deliver) -> Callable[[], None]:
        """Deliver the provider's entries with positions above `after`, in order, at least once.

        Entries already there are delivered before this returns. Returns the call that stops it.
        """
        ...
