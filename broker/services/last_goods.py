"""The secrets of system keys that worked last, sealed: a restart on a wrong secret serves on."""

from dataclasses import dataclass

from broker.core.key import Key
from broker.core.policy import DAY_S
from broker.core.revisions import Revision
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.errors import (
    SealBrokenError,
    SealClosedError,
    SealUnavailableError,
    StoreUnavailableError,
)
from broker.ports.last_good import LastGood, LastGoodStore
from broker.ports.sealer import Sealer
from broker.services.journal import Journal
from broker.services.keyring import Keyring

REFRESH_S = 3600.0
"""When a revision that is kept was accepted last is written anew after this long."""

FORGET_AFTER_S = 10.0
"""A key must be gone from its source for this long: an edit may take it out and put it back."""

SHARED_FORGET_S = 7 * DAY_S
"""In a database that others share, what this broker does not know may be theirs: it is nobody's
when it was not written anew for this long before the start."""


@dataclass(frozen=True, slots=True)
class _Kept:
    revision: str
    authenticated_at: float


class LastGoods:
    """Keeps them and brings them back; what fails is tried again, and harms nobody meanwhile."""

    def __init__(
        self,
        store: LastGoodStore,
        sealer: Sealer,
        keyring: Keyring,
        journal: Journal,
        clock: Clock,
        *,
        is_shared: bool = False,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._keyring = keyring
        self._journal = journal
        self._clock = clock
        self._is_shared = is_shared
        self.was_read = False
        self._waiting: dict[str, LastGood] = {}
        self._kept: dict[str, _Kept] = {}
        self._old: dict[str, str] = {}
        self._own: set[str] = set()
        self._due: dict[str, tuple[Key, float]] = {}
        self._unnamed: dict[str, float] = {}
        self._told = ""

    def is_old(self, key: Key) -> bool:
        """Did the revision work in an earlier run, so that leases of that run may be out?"""
        return self._old.get(key.key_id) == key.revision

    def awaits(self, key_id: str, revision: str) -> bool:
        """Does the key's last good revision wait for the sealing key?"""
        last = self._waiting.get(key_id)
        is_there = self._keyring.find(key_id) is not None
        return is_there and last is not None and last.revision == revision

    def note(self, key: Key, at: float) -> None:
        """The provider accepted the revision of a system key that is in use."""
        kept = self._kept.get(key.key_id)
        if kept is None or kept.revision != key.revision or at - kept.authenticated_at >= REFRESH_S:
            self._due[key.key_id] = key, at

    def note_dropped(self, key_id: str) -> None:
        """What was kept of a key is gone from the store: what works next is kept anew."""
        for names in (self._kept, self._waiting, self._old):
            names.pop(key_id, None)
        self._own.discard(key_id)

    async def restore(self) -> list[str]:
        """Put what worked last beside what is declared now; the ids of the keys that got it.

        Each is looked at once, when its key is first there.
        """
        restored = []
        for key_id in [name for name in self._waiting if self._keyring.held(name) is not None]:
            if self._sealer.fault:
                self._tell(self._sealer.fault)
                break
            last = self._waiting.pop(key_id, None)
            if last is not None and await self._restore(last):
                restored.append(key_id)
        return restored

    async def save(self, *, is_complete: bool) -> None:
        """Keep what is due; `is_complete` says that the sources gave all there is.

        Then what no source names any more is forgotten.
        """
        if not self.was_read or (self._due and self._sealer.fault):
            if self._due:
                self._tell(self._sealer.fault)
            return
        try:
            while self._due:  # also what becomes due meanwhile
                await self._save(*next(iter(self._due.values())))
            for key_id in self._long_unnamed(is_complete=is_complete):
                await self._store.remove(key_id)
                self._kept.pop(key_id, None)
                self._own.discard(key_id)
                self._waiting.pop(key_id, None)
        except (StoreUnavailableError, SealClosedError) as error:
            self._tell(str(error))
        else:
            self._told = self._sealer.fault and self._told

    async def read(self) -> None:
        """Read them from the store, once; where that fails, it is told and can be tried again."""
        if self.was_read:
            return
        try:
            found = await self._store.all()
        except StoreUnavailableError as error:
            self._tell(str(error))
            return
        self.was_read, now = True, self._clock.now()
        for last in found:
            self._kept[last.key_id] = _Kept(last.revision, last.authenticated_at)
            self._old[last.key_id] = last.revision
            self._waiting[last.key_id] = last
            if not self._is_shared or now - last.authenticated_at >= SHARED_FORGET_S:
                self._own.add(last.key_id)

    async def _restore(self, last: LastGood) -> bool:
        """Let a key fall back on what worked last; False where it need not, or cannot."""
        held = self._keyring.held(last.key_id)
        if held is None or held.key.provider != last.provider:
            return False
        if held.key.provenance is not Provenance.SYSTEM:
            return False
        known, secret = held.find(last.revision), None
        if known is None:
            secret = await self._open(last)
            held = self._keyring.held(last.key_id)
            if secret is None or held is None:
                return False
            # The same secret has another name where the fingerprint secret was changed.
            same = (revision for revision in held.revisions if revision.key.secret == secret)
            known = next(same, None)
        if known is not None:
            recalled = held.recalling(known.name, last.authenticated_at)
            self._keyring.take(recalled)
            return known.name != held.newest.revision
        if secret is None or any(revision.is_proven for revision in held.revisions):
            return False
        key = _older(held.newest, last.revision, secret)
        self._keyring.take(held.beside(Revision(key, authenticated_at=last.authenticated_at)))
        return True

    async def _open(self, last: LastGood) -> Secret | None:
        binding = Binding("", last.provider, last.key_id, last.revision)
        try:
            return await self._sealer.open(last.sealed, binding)
        except (SealClosedError, SealUnavailableError) as error:
            self._tell(str(error))
            self._waiting[last.key_id] = last
        except SealBrokenError:
            message = (
                f"{last.key_id}: its last good secret does not open and is not used;"
                " the next one that works takes its place"
            )
            self._record("last_good_unreadable", last.provider, message, last.key_id)
        return None

    async def _save(self, key: Key, at: float) -> None:
        in_use = self._keyring.find(key.key_id)
        if in_use is not None and in_use.revision == key.revision:
            binding = Binding("", key.provider, key.key_id, key.revision)
            sealed = await self._sealer.seal(key.secret, binding)
            await self._store.put(LastGood(key.key_id, key.provider, key.revision, sealed, at))
            self._kept[key.key_id] = _Kept(key.revision, at)
            (self._own.discard if self._is_shared else self._own.add)(key.key_id)
        if self._due.get(key.key_id) == (key, at):
            del self._due[key.key_id]

    def _long_unnamed(self, *, is_complete: bool) -> list[str]:
        """The keys, none of which can be another broker's, that no source has named for a while."""
        gone = set[str]()
        if is_complete:
            gone = {key_id for key_id in self._own if self._keyring.find(key_id) is None}
        now = self._clock.now()
        self._unnamed = {key_id: self._unnamed.get(key_id, now) for key_id in gone}
        return [key_id for key_id, at in self._unnamed.items() if now - at >= FORGET_AFTER_S]

    def _tell(self, cause: str) -> None:
        """Say once that it does not work."""
        if cause and cause != self._told:
            self._told = cause
            message = f"what worked last is not kept for a restart: {cause}"
            self._record("last_good_not_kept", "", message, "")

    def _record(self, kind: str, provider: str, message: str, key_id: str) -> None:
        self._journal.record(kind, provider, self._clock.now(), message, key_id=key_id)


def _older(newest: Key, revision: str, secret: Secret) -> Key:
    return Key(
        key_id=newest.key_id,
        revision=revision,
        provider=newest.provider,
        secret=secret,
        provenance=newest.provenance,
        base_url=newest.base_url,
    )
