"""Rotation: a new secret is proved, takes over or is rejected, and the old one drains.

What `core/revisions.py` decides is asked for whenever something changed that it depends on: a
source or an operator gave a secret, a probe or a first call with one ended, a quarantine came or
went. Whatever was missed meanwhile, because a tenant was not at hand or a store did not answer, is
made up for by `keep`, every second.
"""

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from broker.core.facts import RevisionAdopted, RevisionRetired
from broker.core.fold import Change
from broker.core.key import Key
from broker.core.replica import Logged
from broker.core.revisions import HeldKey, Revision, Stage
from broker.core.scope import key_scope
from broker.core.words import Family, ProbeResult, Provenance, State
from broker.ports.clock import Clock
from broker.ports.prober import Probed
from broker.services.acquisition import MAX_LIFE_S
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.lease_book import LeaseBook
from broker.services.leasing import REPORT_GRACE_S
from broker.services.probing import Probing
from broker.services.retirement import retirement
from broker.services.rotation_news import Name, RotationNews
from broker.services.stored_revisions import StoredRevisions
from broker.services.watching import Watching

DRAIN_S = MAX_LIFE_S + REPORT_GRACE_S
"""After this long nobody has a lease on an old revision, or reports a call with one."""

LOOK_S = 10.0
"""How often it is looked whether leases on draining revisions are out: that reads all leases."""

CLOSE_S = 2.0
"""How long the end may wait for the stores."""


@dataclass(slots=True, kw_only=True)
class Rotating:
    """Takes each key from one revision to the next; this replica is up since `began`."""

    keyring: Keyring
    health: HealthBook
    probing: Probing
    watching: Watching
    book: LeaseBook
    last_goods: LastGoods
    stored: StoredRevisions
    news: RotationNews
    clock: Clock
    began: float
    looked_at: float = 0.0
    is_started: bool = False
    saving: asyncio.Task[None] | None = None

    def noticed(self, key_id: str) -> None:
        """A key was given a new secret: prove it, unless it may take over at once."""
        held = self.keyring.held(key_id)
        if held is not None:
            self.news.noticed(held.newest)
            self._go_on(held)

    def note_success(self, key_id: str, revision: str) -> None:
        """A call with a revision succeeded; cheap where that is no news."""
        if self.keyring.is_unproven(key_id, revision):
            key = self.keyring.revision(key_id, revision)
            if key is not None:
                self._accepted(key)

    def note_probed(self, key: Key, probed: Probed) -> None:
        """A probe of a revision ended."""
        if probed.result is ProbeResult.AUTHENTICATED:
            self._accepted(key)
            return
        self.keyring.note_probed(key, authenticated_at=None)
        self._choose(key.key_id)
        held = self.keyring.held(key.key_id)
        found = held.find(key.revision) if held else None
        if held is None or found is None or probed.result is not ProbeResult.REJECTED:
            return
        if held.stage(found, self._is_rejected) is Stage.REJECTED:
            is_dead = self._is_rejected(held.key)
            self.news.rejected(key, held.key, is_in_use_rejected=is_dead)

    async def retire(self, keys: Iterable[Key]) -> None:
        """These revisions are known no more: nobody may use them, and their health is forgotten."""
        await self.health.submit([self._let_go(key) for key in keys])

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """Quarantines came or went: another revision may have to serve."""
        for key_id in {c.scope.key_id for c in changes if c.family is Family.CREDENTIAL}:
            self._choose(key_id)

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Nothing: choosing reads the view."""

    async def keep(self, *, is_complete: bool) -> None:
        """Do what is due, once a second; `is_complete` as in LastGoods.save.

        The first time waits for what worked last; later nothing waits for a store.
        """
        if not self.is_started:
            self.is_started = True
            await self.last_goods.read()
        await self._restore()
        now = self.clock.now()
        for held in self.keyring.incoming():
            self._go_on(held)
        if now - self.looked_at >= LOOK_S:
            self.looked_at = now
            self._retire_drained(now)
        self.news.forget(self.keyring.holds)
        saved = self.saving
        if saved is None or saved.done():
            self.saving = asyncio.create_task(self._save(is_complete=is_complete))
            if saved is not None:
                saved.result()  # raises what nobody expected

    async def close(self) -> None:
        """Write what is due, as far as the stores take it in a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                if self.saving is not None:
                    await self.saving
                await self._save(is_complete=False)

    def _save_soon(self) -> None:
        """Write what is due before the next second: this process may be killed by then."""
        if self.saving is None or (self.saving.done() and self.saving.exception() is None):
            self.saving = asyncio.create_task(self._save(is_complete=False))

    async def _save(self, *, is_complete: bool) -> None:
        await self.last_goods.read()
        await self.last_goods.save(is_complete=is_complete)
        await self.stored.save()

    def _go_on(self, held: HeldKey) -> None:
        """Do with a key's revisions what can be done now, and have the others probed."""
        for revision in held.superseded():
            self._forget(revision.key)
        self._choose(held.key.key_id)
        current = self.keyring.held(held.key.key_id)
        provider = self.keyring.providers[held.key.provider]
        if current is None or not provider.is_probeable:
            return
        for revision in current.to_prove():
            if not self._is_rejected(revision.key):
                self.probing.ask(revision.key.key_id, revision.name)

    def _accepted(self, key: Key) -> None:
        """The provider accepted a revision: it takes over, if it is the newest that was."""
        now = self.clock.now()
        is_news = self.keyring.is_unproven(key.key_id, key.revision)
        self.keyring.note_probed(key, authenticated_at=now)
        self._choose(key.key_id)
        in_use = self.keyring.find(key.key_id)
        if in_use is None or in_use.revision != key.revision:
            return
        if key.provenance is Provenance.SYSTEM:
            self.last_goods.note(in_use, now)
            if is_news:
                self._save_soon()
        elif is_news:
            self.stored.note_authenticated(key, now)

    def _choose(self, key_id: str) -> None:
        """Have the right revision of a key in use."""
        before = self.keyring.find(key_id)
        if before is None:
            return
        adopted = self.keyring.choose(key_id, self._is_rejected, self.clock.now())
        held = self.keyring.held(key_id)
        if held is None:
            return
        if adopted is not None:
            self.health.post([self._adopted(adopted, before)])
            self.news.adopted(before, held)
        for revision in held.revisions:
            if revision.is_draining and self._is_rejected(revision.key):
                self._forget(revision.key)  # its leases are dead anyway

    async def _restore(self) -> None:
        """Serve from what worked last, unless that is rejected by now."""
        for key_id in await self.last_goods.restore():
            self.keyring.choose(key_id, self._is_rejected, self.clock.now())
            held = self.keyring.held(key_id)
            if held is not None and held.key != held.newest:
                self.news.restored(held, is_rejected=self._is_rejected(held.newest))

    def _is_rejected(self, key: Key) -> bool:
        if self.health.is_calm(key.provider):
            return False
        scope = key_scope(key.provider, key.key_id, key.revision)
        now = self.clock.now()
        record = self.health.circuit(scope, Family.CREDENTIAL, now)
        return record is not None and record.standing(now).state in {State.OPEN, State.HALF_OPEN}

    def _retire_drained(self, now: float) -> None:
        draining = [
            revision
            for held in self.keyring.incoming()
            for revision in held.revisions
            if revision.is_draining
        ]
        if not draining:
            return
        live = {(lease.claims.key_id, lease.claims.revision) for lease in self.book}
        for revision in draining:
            if self._is_drained(revision, live, now):
                self._forget(revision.key)

    def _is_drained(self, revision: Revision, live: set[Name], now: float) -> bool:
        """Can nobody have a lease on it; those of an earlier run are not in the book."""
        key, since_s = revision.key, now - (revision.draining_since or now)
        if since_s >= DRAIN_S:
            return True
        if since_s < LOOK_S or (key.key_id, key.revision) in live:
            return False
        was_leased_before = key.provenance is Provenance.TENANT or self.last_goods.is_old(key)
        return not was_leased_before or now - self.began >= DRAIN_S

    def _forget(self, key: Key) -> None:
        """Retire a revision of a held key, also where it is kept."""
        self.health.post([self._let_go(key)])
        if key.provenance is Provenance.TENANT:
            self.stored.drop(key)

    def _adopted(self, key: Key, before: Key) -> RevisionAdopted:
        return RevisionAdopted(
            fact_id=f"adopted/{secrets.token_hex(8)}",
            provider=key.provider,
            replica=self.health.replica,
            key_id=key.key_id,
            revision=key.revision,
            replaced=before.revision,
        )

    def _let_go(self, key: Key) -> RevisionRetired:
        """Know a revision no more; holders are told before its quarantine ends with it."""
        self.keyring.drop(key)
        self.watching.on_removed(key.provider, key.key_id, key.revision)
        return retirement(self.health.replica, key.provider, key.key_id, key.revision)
