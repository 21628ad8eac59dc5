"""What runs every second runs on, whatever happened once."""

from pathlib import Path

import pytest

from broker.app import build
from broker.config import Settings
from tests.fakes import FakeClock, FakeKeySource, FakeProber
from tests.unit.services.status_given import a_key


async def test_one_unforeseen_error_ended_all_probing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    settings = Settings(
        database="memory", grpc_listen="127.0.0.1:0", http_listen="", drain_seconds=0.0
    )
    app = await build(
        settings, clock=clock, sources=[FakeKeySource([a_key("k1")])], prober=FakeProber()
    )
    begun: list[float] = []

    def start_due() -> None:
        begun.append(clock.now())
        raise RuntimeError

    monkeypatch.setattr(app.core.probing, "start_due", start_due)
    await app.start()
    await clock.elapse(3.5)
    await app.stop()
    assert len(begun) > 2


async def test_one_service_that_failed_to_end_kept_the_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(
        database=f"sqlite:///{tmp_path}/keys.db",
        grpc_listen="127.0.0.1:0",
        http_listen="",
        drain_seconds=0.0,
    )
    sources = [FakeKeySource([a_key("k1")])]
    app = await build(settings, sources=sources, prober=FakeProber())
    await app.start()

    async def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(app.core.refreshing, "close", fail)
    with pytest.raises(RuntimeError):
        await app.stop()
    again = await build(settings, sources=sources, prober=FakeProber())
    await again.start()
    await again.stop()
