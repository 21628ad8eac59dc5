"""What costs the broker much must not be had for little."""

import asyncio
import json

import pytest

from broker.config import SettingsError, load_settings
from tests.fakes import settle
from tests.unit.services.status_given import a_desk, a_key

WATCHERS = 50
SECONDS = 5


async def test_each_watcher_of_the_status_took_a_look_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two hundred watchers kept a whole processor busy, and every lease waited for them."""
    desk = await a_desk(a_key("k1"))
    looks: list[float] = []
    taken = type(desk.status).now

    def now(status: object) -> object:
        looks.append(desk.clock.now())
        return taken(status)  # type: ignore[arg-type]

    monkeypatch.setattr(type(desk.status), "now", now)

    async def watch() -> None:
        async for _ in desk.status.watch():
            pass

    watchers = [asyncio.create_task(watch()) for _ in range(WATCHERS)]
    await settle()
    assert len(looks) == WATCHERS, "each is told how things are at first"
    await desk.clock.elapse(SECONDS)
    assert len(looks) == WATCHERS + SECONDS
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)


@pytest.mark.parametrize("setting", ["TOKENS", "PROVIDERS", "LEASE_SECRETS"])
def test_json_nested_without_end_was_a_traceback(setting: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads("[")
    with pytest.raises(SettingsError) as told:
        load_settings({f"KEYBROKER_{setting}": "[" * 100_000, "KEYBROKER_ENV_FILE": "/dev/null"})
    assert f"KEYBROKER_{setting}: " in str(told.value)
