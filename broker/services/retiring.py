"""What is left of tenants' keys that are gone: nothing."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat

from broker.core.facts import RevisionRetired
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.mark_store import MarkKind
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.retirement import retirement
from broker.services.watching import Watching

_OF_KEYS = (MarkKind.KEY_DISABLED, MarkKind.KEY_REVOKED)


@dataclass(frozen=True, slots=True)
class Retiring:
    """Removes the traces of deleted keys."""

    keyring: Keyring
    health: HealthBook
    marks: Marks
    watching: Watching

    async def bury(self, key: StoredKey) -> None:
        """A key was deleted: tell those who hold leases on it, and forget its health and marks.

        A mark that the store does not let go outlives it: a new key of the same id is disabled.
        """
        self.watching.on_removed(key.provider, key.key_id, "")
        await self.forget_health(key)
        for kind in _OF_KEYS:
            if self.marks.find(kind, key.key_id):
                with suppress(StoreUnavailableError):
                    await self.marks.remove(kind, key.key_id)

    async def forget_health(self, key: StoredKey) -> None:
        """Whatever is known of these revisions is of a key that is gone."""
        if key.provider in self.keyring.providers:
            await self.health.submit(map(self._retired, repeat(key), key.revisions))

    def _retired(self, key: StoredKey, revision: StoredRevision) -> RevisionRetired:
        return retirement(self.health.replica, key.provider, key.key_id, revision.revision)
