"""The keys there are and the events there were, page by page."""

from dataclasses import dataclass

from broker.core.key import Key
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.event_history import Event, EventHistory
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.paging import Page, Pager, PageRequest
from broker.services.standing import KeyState, KeyView, Standings


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys to list; what is "" or None lets all through."""

    provider: str = ""
    provenance: Provenance | None = None
    state: KeyState | None = None

    @property
    def bound(self) -> tuple[str, ...]:
        """What a page token is bound to."""
        return self.provider, self.provenance or "", self.state or ""


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
    history: EventHistory
    pager: Pager
    clock: Clock

    def key(self, key_id: str) -> KeyView:
        """One key; raises KeyUnknownError."""
        key = self.keyring.key(key_id)
        return self._standings(key.provider).view(key)

    def keys(self, wanted: KeyFilter, page: PageRequest) -> Page[KeyView]:
        """Keys by provider and id; raises ProviderUnknown- and PageTokenInvalidError."""
        if wanted.provider:
            self.keyring.provider(wanted.provider)
        after = self.pager.cursor("keys", wanted.bound, page.token)
        standings, limit = self._standings(wanted.provider), page.limit
        found: list[Key] = []
        for key in sorted(self.keyring.keys(wanted.provider), key=_place):
            if _place(key) <= after or wanted.provenance not in {None, key.provenance}:
                continue
            if wanted.state not in {None, standings.state(key)}:
                continue
            if len(found) == limit:
                token = self.pager.token("keys", wanted.bound, *_place(found[-1]))
                return Page(tuple(map(standings.view, found)), token)
            found.append(key)
        return Page(tuple(map(standings.view, found)))

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

    def _standings(self, provider: str) -> Standings:
        return Standings(self.keyring, self.health, self.marks, self.clock.now(), provider)


def _place(key: Key) -> tuple[str, ...]:
    return key.provider, key.key_id
