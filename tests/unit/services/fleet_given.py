"""Two brokers on one database, and the feed that tells one of them what the other changed."""

from dataclasses import dataclass, replace
from functools import partial

from prometheus_client import CollectorRegistry

from broker.adapters.memory import MemoryEventHistory
from broker.adapters.prometheus import PrometheusMeter
from broker.app.core import wire
from broker.app.servicers import make_servicers
from broker.app.world import Tenancy
from broker.ports.changes import Changed, Deliver, Subject
from tests.fakes import FakeProber, settle
from tests.unit.services.status_given import (
    GROQ,
    OPENAI,
    SPOKEN,
    Desk,
    a_desk,
    a_key,
)
from tests.unit.services.tenants_given import FakeKeyStore

SYSTEM = a_key("s1")


class FakeChangeFeed:
    """Tells what a test has it tell; it is current until the test says otherwise."""

    def __init__(self) -> None:
        self.is_current = True
        self.is_closed = False
        self._deliver: Deliver | None = None

    async def follow(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def close(self) -> None:
        self.is_closed = True

    def tell(self, subject: Subject, name: str = "") -> None:
        assert self._deliver is not None
        self._deliver(Changed(subject, name))


@dataclass(frozen=True, slots=True)
class Fleet:
    """`here` changes things, `there` hears of them from `feed`; each has a store of its own."""

    here: Desk
    there: Desk
    feed: FakeChangeFeed

    async def told(self, *tenants: str) -> None:
        """The feed tells of changes of these tenants, and they are looked at."""
        for tenant in tenants:
            self.feed.tell(Subject.TENANT, tenant)
        await settle()

    async def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, then do there what an app does every second."""
        self.there.clock.advance(seconds)
        await self.there.core.following.on_tick()
        await self.there.core.rotating.keep(is_complete=True)
        await settle()


async def a_fleet(tenancy: Tenancy | None = None) -> Fleet:
    """Two brokers with one system key; tenants have none yet."""
    here, feed = await a_desk(SYSTEM), FakeChangeFeed()
    store, prober = FakeKeyStore(here.store.inner), FakeProber()
    world = replace(
        here.core.world,
        replica="there",
        prober=prober,
        key_store=store,
        history=MemoryEventHistory(),
        make_meter=partial(PrometheusMeter, CollectorRegistry(), here.clock),
        tenancy=tenancy or Tenancy(),
        changes=feed,
    )
    core = wire({"openai": OPENAI, "groq": GROQ}, world)
    await core.following.start()
    await core.health.follow()
    await core.refreshing.refresh()
    servicers = make_servicers(core, {"spoken": SPOKEN})
    there = Desk(here.clock, here.source, prober, core, servicers, store)
    return Fleet(here, there, feed)
