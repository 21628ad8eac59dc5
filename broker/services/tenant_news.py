"""What follows where a reading finds that another broker, or system, changed a tenant's key."""

from broker.core.revisions import HeldKey
from broker.ports.clock import Clock
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.retirement import RETIRE_AFTER_S, retirement
from broker.services.rotating import Rotating
from broker.services.watching import Watching

MAX_GONE = 10_000
"""Revisions that wait for their health to be forgotten."""


class TenantNews:
    """Tells holders, and has new secrets proved; nothing is told to operators a second time.

    The health of a key that a broker deleted is forgotten by that broker. What another system
    deleted is forgotten here, once it stays away: a table may be empty while it is rewritten.
    """

    def __init__(
        self,
        keyring: Keyring,
        health: HealthBook,
        watching: Watching,
        rotating: Rotating,
        clock: Clock,
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._watching = watching
        self._rotating = rotating
        self._clock = clock
        self._gone: dict[tuple[str, str, str], float] = {}

    def on_gone(self, held: HeldKey, source: str) -> None:
        """No lease on the key lives on."""
        self._watching.on_removed(held.key.provider, held.key.key_id, "")
        if source and len(self._gone) < MAX_GONE:
            names = ((rev.key.provider, rev.key.key_id, rev.name) for rev in held.revisions)
            self._gone |= dict.fromkeys(names, self._clock.now())

    def on_revision_gone(self, held: HeldKey, revision: str) -> None:
        """No lease on the revision lives on."""
        self._watching.on_removed(held.key.provider, held.key.key_id, revision)

    def on_new_secret(self, key_id: str) -> None:
        """Have it proved, unless it may be leased at once."""
        self._rotating.noticed(key_id)

    def on_tick(self) -> None:
        """Forget the health of what stayed away."""
        now = self._clock.now()
        due = [name for name, at in self._gone.items() if now - at >= RETIRE_AFTER_S]
        for name in due:
            del self._gone[name]
            provider, key_id, revision = name
            if not self._keyring.holds(key_id, revision):
                fact = retirement(self._health.replica, provider, key_id, revision)
                self._health.post([fact])
