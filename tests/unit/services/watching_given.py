"""A reader of news, and what it hears."""

import asyncio
from dataclasses import replace

from broker.core.key import Key
from broker.services.watching import Death, DeathCause, News, Recovery, Synced
from tests.fakes import settle
from tests.unit.services.answers import GPT, MINI
from tests.unit.services.house import House, a_house
from tests.unit.services.status_given import a_key

KEY = a_key("k")


class Watcher:
    """Reads what has come when it is asked, and nothing before."""

    def __init__(self, house: House, principal: str = "gateway") -> None:
        self._stream = house.core.watching.watch(principal)
        self._next: asyncio.Task[News] | None = None

    async def heard(self) -> list[News]:
        """All that has come since."""
        news: list[News] = []
        while True:
            self._next = self._next or asyncio.ensure_future(anext(self._stream))
            await settle()
            if not self._next.done():
                return news
            news.append(self._next.result())
            self._next = None


async def watching(*keys: Key) -> tuple[House, Watcher]:
    """A house where the gateway uses these keys on two models, and watches."""
    house = await a_house(*keys)
    for key in keys:
        others = tuple(other.key_id for other in keys if other is not key)
        for target in (GPT, MINI):
            await house.lease(target, excluded=others)
    watcher = Watcher(house)
    assert await watcher.heard() == [Synced(house.clock.now())]
    return house, watcher


def death(cause: DeathCause, model: str = "", key: Key = KEY) -> Death:
    return Death(cause, "openai", key.key_id, key.revision, model)


def recovery(cause: DeathCause, model: str = "", key: Key = KEY) -> Recovery:
    return Recovery(cause, "openai", key.key_id, key.revision, model)


def timeless(news: list[News]) -> list[News]:
    """The news without their times."""
    return [replace(item, until=None) if isinstance(item, Death) else item for item in news]
