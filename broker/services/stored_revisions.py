"""What rotations teach about tenants' revisions, on its way to the store: off every hot path."""

from collections import OrderedDict

from broker.core.key import Key
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import KeyStore
from broker.services.keyring import Keyring

MAX_DUE = 10_000
"""Changes that wait for the store; what is forgotten is found out anew at the tenant's next use."""

_DROPPED = None


class StoredRevisions:
    """Changes to make in the store, by revision: tried again until it takes them."""

    def __init__(self, store: KeyStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring
        self._due: OrderedDict[tuple[str, str], float | None] = OrderedDict()

    def note_authenticated(self, key: Key, at: float) -> None:
        """The provider accepted the revision."""
        self._put(key, at)

    def drop(self, key: Key) -> None:
        """Nobody needs the revision any more."""
        self._put(key, _DROPPED)

    def keep(self, key_id: str, revision: str) -> None:
        """The revision was given anew: it must not be dropped any more."""
        name = (key_id, revision)
        if name in self._due and self._due[name] is _DROPPED:
            del self._due[name]

    async def save(self) -> None:
        """Make the changes, in the order in which they became due."""
        for name, at in list(self._due.items()):
            if name not in self._due:
                continue  # it was given anew meanwhile
            try:
                if at is not _DROPPED:
                    await self._store.note_authenticated(*name, at)
                elif not self._keyring.holds(*name):  # else the key was rotated back to it
                    await self._store.drop_revision(*name)
            except StoreUnavailableError:
                return  # told by the store's own fault
            if self._due.get(name, at) == at:
                self._due.pop(name, None)

    def _put(self, key: Key, at: float | None) -> None:
        name = (key.key_id, key.revision)
        self._due.pop(name, None)
        self._due[name] = at
        if len(self._due) > MAX_DUE:
            self._due.popitem(last=False)
