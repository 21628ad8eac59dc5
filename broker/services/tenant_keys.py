"""The keys of tenants in use as the keyring holds them, and what readings find changed."""

from collections.abc import Mapping
from typing import Protocol

from broker.core.revisions import HeldKey
from broker.ports.clock import Clock
from broker.ports.key_store import StoredKey, TenantRecord
from broker.services.deleted_keys import DeletedKeys
from broker.services.keyring import Keyring
from broker.services.opening import described
from broker.services.tenant import Tenant


class Listener(Protocol):
    """Who wants to hear what a reading found changed; nothing of it may block or raise."""

    def on_gone(self, held: HeldKey, source: str) -> None:
        """A key is gone that nobody deleted here; `source` as StoredKey has it."""
        ...

    def on_revision_gone(self, held: HeldKey, revision: str) -> None:
        """A revision is gone that leases may be out on."""
        ...

    def on_new_secret(self, key_id: str) -> None:
        """A key of a tenant at hand is new, or has a new secret."""
        ...


class TenantKeys:
    """Puts what was read of a tenant in place of what was known."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self._deleted = DeletedKeys()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of changes that readings find from now on."""
        self._listeners.append(listener)

    def take(
        self,
        before: Tenant | None,
        record: TenantRecord,
        stored: list[StoredKey],
        held: Mapping[str, HeldKey | None],
        read_at: float,
    ) -> Tenant:
        """Hold a tenant's keys, `stored` among the record's, as they were opened.

        `before` is the tenant if it was at hand: only then anything can be found to have changed.
        """
        held = {key.key_id: self._rightful(record.tenant, key, held[key.key_id]) for key in stored}
        unreadable = {key.key_id: described(key) for key in stored if held[key.key_id] is None}
        made_at = {key.key_id: key.created_at for key in stored}
        sources = {key.key_id: key.source for key in stored if key.source}
        tenant = Tenant(record.tenant, record.policies, made_at, unreadable, sources, read_at)
        if before is not None:
            self._part(before, tenant)
        for key in held.values():
            if key is not None:
                self._hold(tenant, key, is_news=before is not None)
        bad: dict[str, set[str]] = {}
        for key_id, shown in unreadable.items():
            bad.setdefault(shown.provider, set()).add(key_id)
        self._keyring.note_unreadable(record.tenant, bad)
        return tenant

    def let_go(self, tenant: Tenant) -> None:
        """Hold a tenant's keys no more."""
        for key_id in tenant.key_ids:
            self._let_go(tenant.name, key_id)
        self._keyring.note_unreadable(tenant.name, {})

    def note_deleted(self, key_id: str) -> None:
        """A key was deleted by this broker."""
        self._deleted.note(key_id, self._clock.now())
        self._keyring.let_go(key_id)

    def was_deleted(self, key_id: str, since: float) -> bool:
        """Was the key deleted at that time or later?"""
        return self._deleted.was_deleted(key_id, since)

    def _part(self, before: Tenant, tenant: Tenant) -> None:
        """Part with the keys that are gone, and those that cannot be opened any more."""
        for key_id, made_anew_at in tenant.gone_since(before):
            held = self._of(tenant.name, key_id)
            at = tenant.read_at if made_anew_at is None else made_anew_at
            self._deleted.note(key_id, min(at, tenant.read_at))
            self._let_go(tenant.name, key_id)
            if held is not None:  # else it was deleted here, or was never readable
                for listener in self._listeners:
                    listener.on_gone(held, before.sources.get(key_id, ""))
        for key_id in tenant.unreadable:
            self._let_go(tenant.name, key_id)

    def _hold(self, tenant: Tenant, read: HeldKey, *, is_news: bool) -> None:
        """Hold a key as it was read, with what was known of its revisions."""
        key_id = read.key.key_id
        known = self._of(tenant.name, key_id)
        before = self._keyring.leased(key_id) if known is not None else []
        key = read
        if known is not None:
            is_foreign = key_id in tenant.sources
            key = known.declaring(read.newest) if is_foreign else read.remembering(known)
        self._keyring.take(key)
        if not is_news:
            return
        for listener in self._listeners:
            for revision in before:
                if known is not None and key.find(revision) is None:
                    listener.on_revision_gone(known, revision)
            if known is None or known.newest.revision != key.newest.revision:
                listener.on_new_secret(key_id)

    def _rightful(self, tenant: str, stored: StoredKey, read: HeldKey | None) -> HeldKey | None:
        """A key, unless it is another tenant's: an id of another system may be of several."""
        known = self._keyring.find(stored.key_id) if stored.source else None
        return read if known is None or known.owner == tenant else None

    def _of(self, tenant: str, key_id: str) -> HeldKey | None:
        """A key that is held, unless it is another's: a row may have been moved."""
        held = self._keyring.held(key_id)
        return held if held is not None and held.key.owner == tenant else None

    def _let_go(self, tenant: str, key_id: str) -> None:
        if self._of(tenant, key_id) is not None:
            self._keyring.let_go(key_id)
