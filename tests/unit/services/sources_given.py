"""Houses whose sources are far away, and what befalls these."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from broker.adapters.memory import MemoryEventHistory
from broker.app.core import wire
from broker.core.key import Key
from broker.ports.changes import ChangeFeed, Deliver
from broker.ports.key_source import SourceSnapshot
from broker.ports.source_copies import SourceCopies
from broker.services.refreshing import SourceRules
from tests.fakes import FakeFactLog, FakeKeySource, FakeProber, settle
from tests.unit.services.answers import PROVIDERS
from tests.unit.services.house import House, a_house

POLL_S = 60.0
STALE_S = 3600.0
RULES = SourceRules(POLL_S, STALE_S)


class RemoteSource(FakeKeySource):
    """A source that answers when its `gate` is open."""

    def __init__(self, *keys: Key, previous: Iterable[Key] = (), name: str = "remote") -> None:
        super().__init__(keys, name=name, is_remote=True)
        self.previous = tuple(previous)
        self.versions: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0

    async def load(self) -> SourceSnapshot:
        """What it holds when it answers."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if not self.gate.is_set():
                self.loads += 1
                await self.gate.wait()
                self.loads -= 1
            return replace(await super().load(), versions=self.versions)
        finally:
            self.at_once -= 1


class QuietFeed(ChangeFeed):
    """A database that others use as well, and nobody changes."""

    is_current = True

    async def follow(self, deliver: Deliver) -> None:
        """Deliver nothing."""

    async def close(self) -> None:
        """Deliver nothing more."""


async def house_of(
    *sources: FakeKeySource,
    copies: SourceCopies | None = None,
    after: House | None = None,
    beside: House | None = None,
    name: str = "here",
    is_shared: bool = False,
    rules: SourceRules = RULES,
) -> House:
    """A replica that has read these sources: the next process `after` a house, or one `beside`.

    Both have its stores and its history.
    """
    base = after or beside or await a_house()
    if after is not None:
        await after.core.health.close()
    log, prober = FakeFactLog(base.shared_log, base.clock), FakeProber()
    is_alone = after is None and beside is None
    world = replace(
        base.core.world,
        replica=name,
        history=MemoryEventHistory() if is_alone else base.core.world.history,
        sources=list(sources),
        source_rules=rules,
        copies=copies or base.core.world.copies,
        log=log,
        prober=prober,
        changes=QuietFeed() if is_shared else None,
    )
    core = wire(PROVIDERS, world)
    await core.health.follow()
    reading = asyncio.create_task(core.refreshing.refresh())
    for _ in sources:
        await settle()
    if not reading.done():  # a source does not answer
        await base.clock.elapse(10.0)
    await reading
    return House(core, base.shared_log, base.clock, log, sources[0], prober, base.meter)


async def passes(house: House, seconds: float = 1.0) -> None:
    """Let time pass second by second, as an app's loops see it."""
    for _ in range(round(seconds)):
        house.clock.advance(1.0)
        await house.core.refreshing.on_tick()
        await settle()


async def told(house: House, *kinds: str) -> list[str]:
    """The kinds of events there were of these, in order."""
    page, _ = await house.core.world.history.page(before=None, limit=10_000)
    return [event.kind for event in reversed(page) if event.kind in kinds]
