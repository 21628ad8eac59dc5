"""Rotation: a new secret is proved, takes over or is rejected, and the old one drains.

What `core/revisions.py` decides is asked for whenever something changed that it depends on: a
source or an operator gave a secret, a probe or a first call with one ended, a quarantine came or
went, another replica went ahead. Whatever was missed meanwhile, because a tenant was not at hand or
a store did not answer, is made up for by `keep`, every second.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from broker.core.facts import RevisionAdopted, RevisionRetired
from broker.core.fold import Change
from broker.core.key import Key
from broker.core.replica import Logged
from broker.core.revisions import HeldKey, Stage
from broker.core.scope import key_scope
from broker.core.words import Family, ProbeResult, Provenance, State
from broker.ports.clock import Clock
from broker.ports.prober import Probed
from broker.services.draining import LOOK_S, Draining
from broker.services.elsewhere import Elsewhere, is_objection
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.probing import Probing
from broker.services.retirement import retirement
from broker.services.rotation_news import RotationNews
from broker.services.stored_revisions import StoredRevisions
from broker.services.watching import Watching

CLOSE_S = 2.0
"""How long the end may wait for the stores."""

RESTORE_WAIT_S = 1.0
"""How long a second may wait until what worked last is opened; at the start it is waited for."""


def _nowhere(_key: Key) -> None:
    """There is nothing to read anew."""


@dataclass(slots=True, kw_only=True)
class Rotating:
    """Takes each key from one revision to the next.

    `reread` has a key read anew of which another replica knows more; it must not wait.
    """

    keyring: Keyring
    health: HealthBook
    probing: Probing
    watching: Watching
    draining: Draining
    elsewhere: Elsewhere
    last_goods: LastGoods
    stored: StoredRevisions
    news: RotationNews
    clock: Clock
    reread: Callable[[Key], None] = _nowhere
    looked_at: float = 0.0
    is_started: bool = False
    saving: asyncio.Task[None] | None = None
    restoring: asyncio.Task[None] | None = None

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
        if held is None or found is None:
            return
        stage = held.stage(found, self.is_rejected)
        if probed.result is ProbeResult.INCONCLUSIVE and stage is Stage.INCOMING:
            self.news.unproved(key, held.key, probed.detail)

    def retire(self, keys: Iterable[Key]) -> None:
        """These revisions are known no more: nobody may use them, and their health is forgotten."""
        self.health.post([self._let_go(key) for key in keys])

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """Quarantines came or went: another revision may have to serve."""
        for key_id in {c.scope.key_id for c in changes if c.family is Family.CREDENTIAL}:
            self._choose(key_id)

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Follow what other replicas adopt, and do not believe that what they let go is well."""
        fact = logged.fact
        if isinstance(fact, RevisionAdopted):
            if own:
                is_told = self.elsewhere.has_served(fact.key_id, fact.revision)
                self.news.confirmed(fact, is_told=is_told)
            elif self.elsewhere.has_adopted(fact, logged.at):
                self._follow(fact)
        elif isinstance(fact, RevisionRetired) and not own:
            key = self.keyring.revision(fact.key_id, fact.revision)
            if key is not None:
                self.health.post(self.elsewhere.objections(fact, changes))
                if self.keyring.leases(key):
                    self.reread(key)
        elif own and not is_objection(fact):
            self._tell_rejections(changes)

    def _tell_rejections(self, changes: list[Change]) -> None:
        """Tell of new secrets that this replica's fact, the first in the log, showed to be none."""
        for change in changes:
            is_credential = change.family is Family.CREDENTIAL
            if not is_credential or change.states != (State.CLOSED, State.OPEN):
                continue
            held = self.keyring.held(change.scope.key_id)
            if held and change.scope.revision == held.newest.revision != held.in_use:
                is_dead = self.is_rejected(held.key)
                self.news.rejected(held.newest, held.key, is_in_use_rejected=is_dead)

    async def keep(self, *, is_complete: bool) -> None:
        """Do what is due, once a second; `is_complete` as in LastGoods.save.

        The first time waits for what worked last; later nothing waits for a store.
        """
        is_first, self.is_started = not self.is_started, True
        if is_first:
            await self.last_goods.read()
        if self.restoring is None or self.restoring.done():
            self.restoring = asyncio.create_task(self._restore())
        await asyncio.wait({self.restoring}, timeout=None if is_first else RESTORE_WAIT_S)
        if self.restoring.done():
            self.restoring.result()
        now = self.clock.now()
        for held in self.keyring.incoming():
            if not held.is_settled:
                self._go_on(held)
        if now - self.looked_at >= LOOK_S:
            self.looked_at = now
            for revision in self.draining.drained(now):
                self.news.drained(revision)
                self._forget(revision.key)
        self.news.forget(self.keyring.holds)
        saved = self.saving
        if saved is None or saved.done():
            self.saving = asyncio.create_task(self._save(is_complete=is_complete))
            if saved is not None:
                saved.result()  # raises what nobody expected

    async def close(self) -> None:
        """Write what is due, as far as the stores take it in a moment."""
        if self.restoring is not None:
            self.restoring.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                if self.saving is not None:
                    await self.saving
                await self._save(is_complete=False)

    def is_rejected(self, key: Key) -> bool:
        """Is a revision quarantined?"""
        if self.health.is_calm(key.provider):
            return False
        scope = key_scope(key.provider, key.key_id, key.revision)
        now = self.clock.now()
        record = self.health.circuit(scope, Family.CREDENTIAL, now)
        return record is not None and record.standing(now).state in {State.OPEN, State.HALF_OPEN}

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
        for revision in held.revisions:
            is_open = not revision.is_proven and not revision.is_draining
            if is_open and self.elsewhere.has_proved(revision.key):
                self._accepted(revision.key)
        self._choose(held.key.key_id)
        self._prove(held.key.key_id)

    def _prove(self, key_id: str, *, is_first: bool = False) -> None:
        """Have those revisions probed that must be, or of them those that no probe has seen."""
        held = self.keyring.held(key_id)
        if held is None or not self.keyring.providers[held.key.provider].is_probeable:
            return
        for revision in held.to_prove(self.is_rejected):
            if not (is_first and revision.was_probed):
                self.probing.ask(key_id, revision.name)

    def _follow(self, fact: RevisionAdopted) -> None:
        """Adopt what another replica did; what is not here yet is to be read."""
        held = self.keyring.held(fact.key_id)
        if held is None:
            return
        if held.find(fact.revision) is not None:
            self._go_on(held)
        else:
            self.reread(held.key)

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
        """Have the right revision of a key in use; one that another replica adopted is no news."""
        before = self.keyring.find(key_id)
        if before is None:
            return
        adopted = self.keyring.choose(key_id, self.is_rejected, self.clock.now())
        held = self.keyring.held(key_id)
        if held is None:
            return
        if adopted is not None and not self.elsewhere.has_served(key_id, adopted.revision):
            fact = self._adopted(held, before)
            self.news.adopted(fact, before, held)
            self.health.post([fact])
            if held.newest.revision != held.in_use and self.is_rejected(held.newest):
                self.news.rejected(held.newest, held.key, is_in_use_rejected=False)
        for revision in held.revisions:
            if revision.is_draining and self.is_rejected(revision.key):
                self._forget(revision.key)  # its leases are dead anyway
        if len(held.revisions) > 1:
            self._prove(key_id, is_first=True)

    async def _restore(self) -> None:
        """Serve from what worked last, unless that is rejected by now."""
        for key_id in await self.last_goods.restore():
            self.keyring.choose(key_id, self.is_rejected, self.clock.now())
            held = self.keyring.held(key_id)
            if held is not None and held.key != held.newest:
                self.news.restored(held, is_rejected=self.is_rejected(held.newest))

    def _forget(self, key: Key) -> None:
        """Retire a revision of a held key, also where it is kept."""
        self.health.post([self._let_go(key)])
        if key.provenance is Provenance.TENANT:
            self.stored.drop(key)

    def _adopted(self, held: HeldKey, before: Key) -> RevisionAdopted:
        found = held.find(held.in_use)
        return RevisionAdopted(
            fact_id=f"adopted/{secrets.token_hex(8)}",
            provider=held.key.provider,
            replica=self.health.replica,
            key_id=held.key.key_id,
            revision=held.in_use,
            replaced=before.revision,
            proven=found is not None and found.is_proven,
        )

    def _let_go(self, key: Key) -> RevisionRetired:
        """Know a revision no more; holders are told before its quarantine ends with it."""
        self.keyring.drop(key)
        self.watching.on_removed(key.provider, key.key_id, key.revision)
        return retirement(self.health.replica, key.provider, key.key_id, key.revision)
