"""Secrets are replaced in files while calls go on, over a real server, real HTTP and real files."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.app import build
from broker.config import Settings
from broker.config.forms import ProviderSetting
from broker.services.boot import BootPolicy
from keybroker.v1 import admin_pb2, denial_pb2, event_pb2, status_pb2, verdict_pb2
from simulator import Simulator
from tests.e2e.conftest import MODELS, open_gateway
from tests.gateway import Gateway

PROVIDERS = ("openai", "anthropic", "gemini")


@dataclass
class Files:
    """The files of an operator, and a broker on a database that can be started again."""

    sim: Simulator
    folder: Path
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    secrets: dict[str, str] = field(default_factory=dict)

    async def start(self) -> Gateway:
        """Start the broker; one that runs is stopped first."""
        await self.stack.aclose()
        settings = Settings(
            database=f"sqlite:///{self.folder}/keys.db",
            grpc_listen="127.0.0.1:0",
            http_listen="",
            env_file=self.folder / ".env",
            keys_file=self.folder / "keys.toml",
            providers={
                name: ProviderSetting(base_url=self.sim.base_url(name)) for name in PROVIDERS
            },
            boot_probe=BootPolicy.OFF,
            sentinel_seconds=0.0,
            drain_seconds=0.0,
        )
        app = await build(settings, environ={})
        await app.start()
        self.stack.push_async_callback(app.stop)
        return await open_gateway(self.stack, app)

    def put(self, **secrets: str) -> None:
        """Put secrets into the `.env`, by `openai_1`; "" takes one out."""
        self.secrets = {name: text for name, text in (self.secrets | secrets).items() if text}
        lines = []
        for name, text in self.secrets.items():
            provider, _, number = name.upper().partition("_")
            lines.append(f"{provider}_API_KEY_{number}={text}\n")
        self.write("".join(lines))

    def write(self, text: str, name: str = ".env") -> None:
        """Replace a file by a rename, as careful editors do."""
        draft = self.folder / "draft"
        draft.write_text(text)
        draft.replace(self.folder / name)


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    async with Simulator.start() as sim:
        files = Files(sim, tmp_path)
        files.write("", "keys.toml")
        for provider in PROVIDERS:
            for number in (1, 2):
                secret = f"sk-{provider}-{number}"
                sim.add_key(provider, secret)
                files.secrets[f"{provider}_{number}"] = secret
        files.put()
        yield files
        await files.stack.aclose()


async def succeeds(gateway: Gateway, provider: str = "openai") -> str:
    """Make a call that must succeed; the revision of its key."""
    lease = await gateway.lease(provider, MODELS[provider])
    reported = await gateway.use(lease)
    assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_OK
    return lease.revision


async def refreshed(gateway: Gateway) -> list[str]:
    """Have the files read; the faults."""
    answer = await gateway.admin.RefreshKeys(admin_pb2.RefreshKeysRequest())
    return [fault for source in answer.sources for fault in source.faults]


async def events(gateway: Gateway, kind: str) -> list[event_pb2.Event]:
    answer = await gateway.admin.ListEvents(admin_pb2.ListEventsRequest(kinds=[kind]))
    return list(answer.events)


async def happens(gateway: Gateway, kind: str, within_s: float = 3.0) -> event_pb2.Event:
    """Wait for the one event of a kind."""
    until = time.monotonic() + within_s
    while not (found := await events(gateway, kind)):
        assert time.monotonic() < until, f"no {kind}"
        await asyncio.sleep(0.02)
    (event,) = found
    return event


async def test_a_bogus_secret_over_a_working_one_costs_no_call_also_when_restarted_on_it(
    files: Files,
) -> None:
    files.put(openai_2="")
    gateway = await files.start()
    right = await succeeds(gateway)
    files.put(openai_1="sk-bogus")
    rejected = asyncio.create_task(happens(gateway, "revision_rejected"))
    while not rejected.done():
        assert await succeeds(gateway) == right
    assert (await rejected).key_id == "openai/1"
    again = await files.start()
    for _ in range(5):
        assert await succeeds(again) == right
    files.put(openai_1="sk-openai-1")
    await refreshed(again)
    assert await succeeds(again) == right
    bogus = files.sim.calls_of("sk-bogus")
    assert bogus
    assert not any(call.model for call in bogus)
    assert len(await events(again, "revision_rejected")) == 1


async def test_six_expired_keys_are_leasable_within_2_s_of_mending_the_file(files: Files) -> None:
    gateway = await files.start()
    old = dict(files.secrets)
    for provider in PROVIDERS:
        for number in (1, 2):
            files.sim.revoke(old[f"{provider}_{number}"])
        for _ in range(2):
            await gateway.use(await gateway.lease(provider, MODELS[provider]))
        denied = await gateway.acquire(provider, MODELS[provider])
        assert denied.denial.reason == denial_pb2.DENIAL_REASON_QUARANTINED
    mended = {name: f"{secret}-new" for name, secret in old.items()}
    for name, secret in mended.items():
        files.sim.add_key(name.partition("_")[0], secret)
    files.put(**mended)
    began = time.monotonic()
    for provider in PROVIDERS:
        leased: set[str] = set()
        while len(leased) < 2:
            answer = await gateway.acquire(provider, MODELS[provider])
            if answer.HasField("lease"):
                assert answer.lease.api_key.secret.plaintext.endswith("-new")
                leased.add(answer.lease.key_id)
            assert time.monotonic() - began < 2.0
            await asyncio.sleep(0.01)
    adopted = await events(gateway, "revision_adopted")
    assert len(adopted) == 6
    assert all(float(event.attributes["elapsed_s"]) < 1.0 for event in adopted)


async def test_a_rotation_to_and_fro_fails_no_call(files: Files) -> None:
    files.put(openai_2="")
    files.sim.add_key("openai", "sk-openai-b")
    gateway = await files.start()
    seen = [await succeeds(gateway)]
    for secret in ("sk-openai-b", "sk-openai-1", "sk-openai-b"):
        files.put(openai_1=secret)
        until = time.monotonic() + 3.0
        while (revision := await succeeds(gateway)) == seen[-1]:
            assert time.monotonic() < until
        seen.append(revision)
    assert seen[0] == seen[2] != seen[1] == seen[3]
    assert await events(gateway, "revision_rejected") == []


async def test_a_broken_edit_of_either_file_keeps_what_was_there_and_says_every_fault(
    files: Files,
) -> None:
    files.sim.add_key("openai", "sk-from-toml")
    toml = '[[openai]]\nname = "t"\nsecret = "sk-from-toml"\n'
    files.write(toml, "keys.toml")
    gateway = await files.start()
    before = await key_ids(gateway)
    assert len(before) == 7
    breaks = {
        "OPENAI_API_KEY_1=\nOPENAI_API_KEY_2=sk-openai-2\nwhat\n": [".env:1", ".env:3"],
        "": [".env"],
    }
    for text, places in breaks.items():
        files.write(text)
        faults = await refreshed(gateway)
        assert [fault.partition(": ")[0] for fault in faults][: len(places)] == places
        assert await key_ids(gateway) == before
    files.put()
    for text, place in ((f"{toml}weight = \n", "keys.toml:4"), ("", "keys.toml")):
        files.write(text, "keys.toml")
        faults = await refreshed(gateway)
        assert faults[0].startswith(f"{place}: ")
        assert await key_ids(gateway) == before
    status = await gateway.status.GetStatus(status_pb2.GetStatusRequest())
    assert {source.source: bool(source.faults) for source in status.status.sources} == {
        "environment": False,
        "keys.toml": True,
    }
    files.write(toml, "keys.toml")
    files.put(anthropic_2="")
    assert await refreshed(gateway) == []
    assert await key_ids(gateway) == before - {"anthropic/2"}
    assert len(await events(gateway, "source_faulty")) >= 5


async def key_ids(gateway: Gateway) -> set[str]:
    answer = await gateway.admin.ListKeys(admin_pb2.ListKeysRequest())
    return {key.key_id for key in answer.keys}
