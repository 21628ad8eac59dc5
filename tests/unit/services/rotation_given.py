"""Rotations as the tests of services need them."""

from dataclasses import replace

from broker.adapters.memory import MemoryFactLog
from broker.app.core import wire
from broker.core.key import Key
from broker.core.secret import Secret
from broker.ports.prober import Probed
from tests.fakes import FakeFactLog, FakeKeySource, FakeProber, settle
from tests.unit.services.answers import PROVIDERS
from tests.unit.services.house import House
from tests.unit.services.status_given import a_key

OLD = a_key("k")


def new(name: str = "new", key: Key = OLD) -> Key:
    return replace(key, revision=name, secret=Secret(f"sk-{name}"))


NEW = new()


async def served(house: House) -> str:
    """The revision that is leased."""
    return (await house.lease()).claims.revision


def held(house: House, key_id: str = "k") -> list[str]:
    found = house.core.keyring.held(key_id)
    return [revision.name for revision in found.revisions] if found else []


async def read_again(house: House, seconds: float = 1.0) -> None:
    house.clock.advance(seconds)
    await saved(house)
    await house.core.refreshing.refresh()
    await saved(house)


async def saved(house: House) -> None:
    """Let the stores take what is due."""
    if house.core.rotating.saving is not None:
        await house.core.rotating.saving
    await settle()


async def rotated(house: House, key: Key, *found: Probed) -> None:
    """The source gives another secret, and a probe tells what it is worth."""
    house.prober.will_find(key.key_id, *found)
    await house.has_keys(key)
    await house.probe()


async def restarted(house: House, *keys: Key, is_forgetful: bool = True) -> House:
    """The next process on the same stores, whose source gives `keys`; a forgetful log is empty."""
    shared_log = MemoryFactLog(house.clock) if is_forgetful else house.shared_log
    log, source, prober = FakeFactLog(shared_log, house.clock), FakeKeySource(keys), FakeProber()
    world = replace(house.core.world, sources=[source], log=log, prober=prober)
    core = wire(PROVIDERS, world)
    await core.health.follow()
    await core.refreshing.refresh()
    return House(core, shared_log, house.clock, log, source, prober, house.meter)
