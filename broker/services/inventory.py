"""The keys there are and the events there were, page by page."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from broker.core.key import Key
from broker.core.revisions import HeldKey, Revision
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.event_history import Event, EventHistory
from broker.ports.key_store import KeyStore, StoredKey
from broker.services.errors import KeyUnknownError
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.opening import Opening, described
from broker.services.paging import Page, Pager, PageRequest
from broker.services.standing import KeyState, KeyView, Standings

MAX_SCANNED = 2000
"""Tenants' keys that are looked at for one page: where few match, it is short."""

STEP = 200
"""Tenants' keys read from the store at once."""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys to list; what is "" or None lets all through."""

    provider: str = ""
    provenance: Provenance | None = None
    state: KeyState | None = None
    tenant: str = ""

    @property
    def bound(self) -> tuple[str, ...]:
        """What a page token is bound to."""
        return self.provider, self.provenance or "", self.state or "", self.tenant

    def admits(self, view: KeyView) -> bool:
        """Is the key in the state that is wanted?"""
        return self.state in {None, view.state}


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list: `kinds` empty lets all through, `since` is in epoch seconds."""

    provider: str = ""
    kinds: frozenset[str] = frozenset()
    since: float = 0.0

    @property
    def bound(self) -> tuple[str, ...]:
        """What a page token is bound to."""
        return self.provider, repr(self.since), *sorted(self.kinds)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Shows keys as the next decision of this replica sees them, and events as they are kept."""

    keyring: Keyring
    health: HealthBook
    marks: Marks
    store: KeyStore
    opening: Opening
    history: EventHistory
    pager: Pager
    clock: Clock

    async def key(self, key_id: str) -> KeyView:
        """One key; raises KeyUnknownError.

        A key that is at hand is shown, without its times, also while the store is unavailable; for
        another StoreUnavailableError is raised.
        """
        held = self.keyring.held(key_id)
        if held is not None and not held.key.owner:
            return self._standings(held.key.provider).view(held)
        try:
            stored = await self.store.key(key_id)
        except StoreUnavailableError:
            if held is None:
                raise
            return self._standings(held.key.provider).view(held)
        if stored is None:
            raise KeyUnknownError(key_id)
        return await self.show(stored)

    async def show(self, stored: StoredKey) -> KeyView:
        """A tenant's key, as it was just stored."""
        return await self._view(self._standings(stored.provider), stored)

    async def keys(self, wanted: KeyFilter, page: PageRequest) -> Page[KeyView]:
        """Keys by provider and id; a page may be short, and even empty, before the last.

        Raises ProviderUnknown-, PageTokenInvalid- and StoreUnavailableError.
        """
        if wanted.provider:
            self.keyring.provider(wanted.provider)
        after = self.pager.cursor("keys", wanted.bound, page.token)
        standings, limit = self._standings(wanted.provider), page.limit
        found: list[KeyView] = []
        place, scanned = after, 0
        async with aclosing(self._from(wanted, after, limit, standings)) as views:
            async for view in views:
                if len(found) == limit or scanned > MAX_SCANNED:
                    return Page(tuple(found), self.pager.token("keys", wanted.bound, *place))
                place, scanned = _place(view.key), scanned + 1
                if wanted.admits(view):
                    found.append(view)
        return Page(tuple(found))

    async def events(self, wanted: EventFilter, page: PageRequest) -> Page[Event]:
        """Events, the latest first; raises PageTokenInvalidError."""
        after = self.pager.cursor("events", wanted.bound, page.token)
        events, before = await self.history.page(
            before=int(after[0]) if after else None,
            limit=page.limit,
            provider=wanted.provider,
            kinds=wanted.kinds,
            since=wanted.since,
        )
        if before is None:
            return Page(tuple(events))
        return Page(tuple(events), self.pager.token("events", wanted.bound, str(before)))

    async def _from(
        self, wanted: KeyFilter, after: tuple[str, ...], limit: int, standings: Standings
    ) -> AsyncGenerator[KeyView, None]:
        """The keys of all owners after a place, in order, whatever their state."""
        system = self._system(wanted, after)
        step = min(limit + 1, STEP)
        while wanted.provenance is not Provenance.SYSTEM:
            first, second = after or ("", "")
            stored = await self.store.page(
                after=(first, second), limit=step, provider=wanted.provider, tenant=wanted.tenant
            )
            for key in stored:
                after = (key.provider, key.key_id)
                while system and _place(system[-1]) < after:
                    yield self._system_view(standings, system.pop())
                yield await self._view(standings, key)
            if len(stored) < step:
                break
            await asyncio.sleep(0)  # others run between two steps
        while system:
            yield self._system_view(standings, system.pop())

    def _system(self, wanted: KeyFilter, after: tuple[str, ...]) -> list[Key]:
        """The system keys after a place, the last first."""
        if wanted.tenant or wanted.provenance is Provenance.TENANT:
            return []
        keys = self.keyring.keys(wanted.provider)
        return sorted((key for key in keys if _place(key) > after), key=_place, reverse=True)

    def _system_view(self, standings: Standings, key: Key) -> KeyView:
        held = self.keyring.held(key.key_id)
        return standings.view(held if held is not None else HeldKey.loaded([Revision(key)]))

    async def _view(self, standings: Standings, stored: StoredKey) -> KeyView:
        """A tenant's key: as it is at hand, else as it would be."""
        held = self.keyring.held(stored.key_id)
        if held is None or held.key.owner != stored.tenant:
            read = await self.opening.read(stored)
            held = standings.as_chosen(read) if read is not None else None
        if held is None:
            view = standings.view_unreadable(described(stored))
        else:
            view = standings.view(held)
        return replace(view, created_at=stored.created_at, updated_at=stored.updated_at)

    def _standings(self, provider: str) -> Standings:
        known = provider if provider in self.keyring.providers else ""
        return Standings(self.keyring, self.health, self.marks, self.clock.now(), known)


def _place(key: Key) -> tuple[str, ...]:
    return key.provider, key.key_id
