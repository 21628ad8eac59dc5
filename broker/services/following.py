"""Following what other brokers on the same database change: it is in force here within a second."""

import asyncio
from collections.abc import Callable

from broker.core.facts import MarkAnnounced, RevisionAdopted
from broker.core.fold import Change
from broker.core.replica import Logged
from broker.ports.changes import Changed, ChangeFeed, Subject
from broker.ports.errors import StoreUnavailableError
from broker.services.mark_effects import MarkEffects
from broker.services.tenant_news import TenantNews
from broker.services.tenants import Tenants


class Following:
    """Hears of changes from the feed, and a little earlier perhaps from the log of facts."""

    def __init__(
        self,
        feed: ChangeFeed | None,
        tenants: Tenants,
        news: TenantNews,
        effects: MarkEffects,
    ) -> None:
        self._feed = feed
        self._tenants = tenants
        self._news = news
        self._effects = effects
        self._listeners: list[Callable[[], None]] = []
        self._are_marks_due = False
        self._reading_marks: asyncio.Task[None] | None = None

    def listen(self, on_agreements: Callable[[], None]) -> None:
        """Call back when what the brokers agreed on may have changed; that must not block."""
        self._listeners.append(on_agreements)

    async def start(self) -> None:
        """Read the marks, and miss no change from then on. Raises StoreUnavailableError."""
        if self._feed is not None:
            await self._feed.follow(self._on_change)
        await self._effects.marks.load()

    async def on_tick(self) -> None:
        """Make up, once a second, for what could not be done at once."""
        self._tenants.on_tick()
        self._news.on_tick()
        self._read_marks()

    async def close(self) -> None:
        """Follow no more."""
        if self._feed is not None:
            await self._feed.close()
        await self._tenants.close()
        if self._reading_marks is not None:
            self._reading_marks.cancel()
            await asyncio.gather(self._reading_marks, return_exceptions=True)

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """Nothing: circuits are no part of what is followed here."""

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """A fact of another broker is a hint to look at what it is about."""
        fact = logged.fact
        if self._feed is None or own:
            return
        if isinstance(fact, MarkAnnounced):
            self._marks_changed()
        elif isinstance(fact, RevisionAdopted):
            self._tenants.hint(fact.key_id)

    def _on_change(self, changed: Changed) -> None:
        match changed.subject:
            case Subject.TENANT:
                self._tenants.on_changed(changed.name)
            case Subject.MARKS:
                self._marks_changed()
            case Subject.AGREEMENTS:
                self._agreements_changed()
            case Subject.EVERYTHING:
                self._tenants.on_missed()
                self._marks_changed()
                self._agreements_changed()

    def _agreements_changed(self) -> None:
        for listener in self._listeners:
            listener()

    def _marks_changed(self) -> None:
        self._are_marks_due = True
        self._read_marks()

    def _read_marks(self) -> None:
        """Read the marks, if they are to be read and that is not under way."""
        if self._are_marks_due and (self._reading_marks is None or self._reading_marks.done()):
            self._reading_marks = asyncio.create_task(self._reload_marks())

    async def _reload_marks(self) -> None:
        while self._are_marks_due:
            self._are_marks_due = False
            try:
                async with self._effects.marks.turn:
                    await self._effects.reload()
            except StoreUnavailableError:
                self._are_marks_due = True
                return
