"""A house that looks out: what an app does each second, and a restart over the same world."""

from dataclasses import replace

from broker.adapters.memory import MemoryEventHistory
from broker.app.core import wire
from broker.core.key import Key
from broker.core.words import Provenance
from broker.ports.errors import StoreUnavailableError
from broker.ports.event_history import Event, EventHistory
from broker.services.lookout import WatchRules
from tests.fakes import settle
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key

QUIET = WatchRules(sentinel_s=0.0)
"""No routine probes: only what a test asks for."""


async def a_lookout(*keys: Key, rules: WatchRules = QUIET) -> House:
    """A house that watches by these rules."""
    return await restarted(await a_house(*keys), rules)


class FlickeringHistory(MemoryEventHistory):
    """A history that cannot be read while it `is_off`."""

    is_off = False

    async def page(
        self,
        *,
        before: int | None,
        limit: int,
        provider: str = "",
        kinds: frozenset[str] = frozenset(),
        since: float = 0.0,
    ) -> tuple[list[Event], int | None]:
        if self.is_off:
            raise StoreUnavailableError("the history is switched off")
        return await super().page(
            before=before, limit=limit, provider=provider, kinds=kinds, since=since
        )


async def restarted(
    house: House, rules: WatchRules | None = None, history: EventHistory | None = None
) -> House:
    """The same world after a restart of the broker: memory is gone, log and history are not."""
    await house.core.health.close()
    world = house.core.world
    world = replace(world, watch=rules or world.watch, history=history or world.history)
    core = wire(house.core.keyring.providers, world)
    await core.health.follow()
    await core.refreshing.refresh()
    return replace(house, core=core)


async def look_out(house: House, seconds: float = 0.0, step_s: float = 1.0) -> None:
    """Let time pass in steps, and look after each; without any time, look once."""
    for _ in range(max(int(seconds / step_s), 1)):
        house.clock.advance(min(seconds, step_s))
        await house.core.lookout.on_tick(house.clock.now())
        await house.core.lookout.on_calendar(house.clock.now())
        await settle()


async def told(house: House, *kinds: str) -> list[Event]:
    """The events of these kinds, oldest first."""
    return [event for event in await house.events() if event.kind in kinds]


def a_tenant_key(key_id: str, owner: str = "acme") -> Key:
    return a_key(key_id, provenance=Provenance.TENANT, owner=owner)
