"""`keybroker` at a whole broker with simulated providers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.app import build
from broker.cli.exits import Exit
from broker.config import Settings
from simulator import Simulator
from tests.e2e.command import keybroker
from tests.e2e.conftest import MODELS, World
from tests.unit.cli.conftest import Keybroker, Result, bare
from tests.unit.cli.conftest import keybroker as run_here

GPT = MODELS["openai"]
TOKENS = {"gateway": "token-of-the-gateway", "operator": "token-of-the-operator"}

__all__ = ["bare", "run_here"]

Ask = Callable[..., Awaitable[Result]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A broker in this process would log to the standard output that the command writes to."""
    with capture_logs():
        yield


@pytest.fixture
def ask(world: World, run_here: Keybroker, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run the command at the world's broker, beside it in this process."""
    monkeypatch.setenv("KEYBROKER_ADDRESS", f"127.0.0.1:{world.app.grpc_port}")
    return partial(asyncio.to_thread, run_here)


async def test_an_operator_finds_out_what_is_wrong(world: World, ask: Ask) -> None:
    """Two keys, one revoked: probe, status, explain and events tell the same story."""
    good, dead = await world.add_keys("openai", 2)
    world.sim.revoke(dead)
    probed = await ask("keys", "probe")
    assert probed.code == Exit.REJECTED
    assert [line.split()[2] for line in probed.out.splitlines()[1:]] == [
        "authenticated",
        "rejected",
    ]
    listed = (await ask("keys", "list", "--state", "quarantined", "--format", "json")).json
    [key] = listed["keys"]
    status = await ask("status")
    assert "1 healthy, 1 quarantined" in status.out
    assert f"key {key['key_id']} " in status.out
    explained = await ask("explain", "openai", GPT)
    assert "would grant" in explained.out
    assert f"{key['key_id']} " in explained.out
    events = (await ask("events", "--format", "json")).json["events"]
    assert any(event["key_id"] == key["key_id"] for event in events)
    shown = await ask("keys", "show", key["key_id"])
    assert "quarantined" in shown.out
    assert not [secret for secret in (good, dead) if secret in shown.out + status.out]


async def test_an_operator_takes_things_out_of_use_and_back(world: World, ask: Ask) -> None:
    [secret] = await world.add_keys("openai", 1)
    granted = await ask("lease", "try", "openai", GPT, "--format", "json")
    assert granted.code == Exit.OK
    assert secret not in granted.out
    key_id = granted.json["lease"]["key_id"]
    disabled = await ask("keys", "disable", key_id, "--reason", "leaked")
    assert "leaked" in disabled.out
    denied = await ask("lease", "try", "openai", GPT)
    assert denied.code == Exit.REFUSED
    assert "all_disabled" in denied.out
    assert (await ask("keys", "enable", key_id)).code == Exit.OK
    assert (await ask("upstreams", "disable", "openai", GPT, "--reason", "dear")).code == Exit.OK
    assert "dear" in (await ask("upstreams", "list")).out
    assert (await ask("upstreams", "enable", "openai", GPT)).code == Exit.OK
    assert (await ask("lease", "try", "openai", GPT)).code == Exit.OK
    world.sim.revoke(secret)
    await ask("keys", "probe", key_id)
    cleared = await ask("circuits", "clear", "--key", key_id, "--format", "json")
    assert [circuit["family"] for circuit in cleared.json["cleared"]] == ["FAMILY_CREDENTIAL"]
    assert "closed" in (await ask("circuits", "list")).err


async def test_a_tenants_key_lives_its_whole_life(world: World, ask: Ask) -> None:
    """Added, leased, changed, rotated, deleted; and the tenant falls on no system key unasked."""
    await world.add_keys("openai", 1)
    first, second = "acme-secret-0001", "acme-secret-0002"
    for secret in (first, second):
        world.sim.add_key("openai", secret)
    add = partial(ask, "keys", "add", "--tenant", "acme", "--provider", "openai", stdin=first)
    added = await add("--key-id", "acme-1", "--weight", "2", "--format", "json")
    assert (added.code, added.json["key_id"], added.json["owner"]) == (Exit.OK, "acme-1", "acme")
    again = await add("--key-id", "acme-1")
    assert again.code == Exit.REFUSED
    double = await add()
    assert double.code == Exit.REFUSED
    lease = await ask("lease", "try", "openai", GPT, "--tenant", "acme", "--format", "json")
    assert lease.json["lease"]["key_id"] == "acme-1"
    policy = await ask("tenants", "policy", "get", "acme", "openai", "--format", "json")
    assert policy.json["policies"][0]["mode"] == "POLICY_MODE_TENANT_ONLY"
    changed = await ask("keys", "update", "acme-1", "--concurrency", "3", "--format", "json")
    assert changed.json["limits"]["concurrency"] == 3
    assert changed.json["weight"] == 2.0
    rotated = await ask("keys", "rotate", "acme-1", "--format", "json", stdin=second)
    assert len(rotated.json["revisions"]) == 2
    assert "acme-1" in (await ask("keys", "list", "--tenant", "acme")).out
    assert (await ask("keys", "delete", "acme-1", "--yes")).code == Exit.OK
    denied = await ask("lease", "try", "openai", GPT, "--tenant", "acme")
    assert denied.code == Exit.REFUSED
    set_to = ("tenants", "policy", "set", "acme", "openai", "tenant_then_system")
    assert "tenant_then_system" in (await ask(*set_to)).out
    assert (await ask("lease", "try", "openai", GPT, "--tenant", "acme")).code == Exit.OK
    for told in (added, again, double, changed, rotated):
        assert first not in told.out + told.err
        assert second not in told.out + told.err


async def test_a_system_key_is_its_sources(world: World, ask: Ask) -> None:
    await world.add_keys("openai", 1)
    [key] = (await ask("keys", "list", "--format", "json")).json["keys"]
    for command in (("rotate",), ("delete", "--yes"), ("update", "--weight", "2")):
        done = await ask("keys", command[0], key["key_id"], *command[1:], stdin="x" * 20)
        assert done.code == Exit.REFUSED
        assert "environment: change it there" in done.err


async def test_names_that_mean_nothing_are_not_found(world: World, ask: Ask) -> None:
    for arguments in (
        ("keys", "show", "openai/nobody"),
        ("keys", "probe", "openai/nobody"),
        ("keys", "list", "--provider", "opnai"),
        ("lease", "try", "opnai", GPT),
        ("explain", "opnai", GPT),
        ("upstreams", "disable", "opnai"),
    ):
        done = await ask(*arguments, "--format", "json")
        assert (done.code, done.out) == (Exit.NOT_FOUND, "")
        assert len(done.err.splitlines()) == 1


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[int]:
    """The port of a broker that wants tokens."""
    tokens = [{"name": name, "token": text, "roles": [name]} for name, text in TOKENS.items()]
    settings = Settings.model_validate(
        {
            "database": "memory",
            "grpc_listen": "127.0.0.1:0",
            "http_listen": "",
            "env_file": tmp_path / "none",
            "tokens": tokens,
            "boot_probe": "off",
            "drain_seconds": 0.0,
        }
    )
    app = await build(settings, environ={"OPENAI_API_KEY": "sk-0123456789"})
    await app.start()
    yield app.grpc_port
    await app.stop()


async def test_a_token_decides_what_may_be_done(
    guarded: int, run_here: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYBROKER_ADDRESS", f"127.0.0.1:{guarded}")
    without = await asyncio.to_thread(run_here, "keys", "list")
    assert without.code == Exit.FORBIDDEN
    assert "KEYBROKER_TOKEN" in without.err
    for name, code in (("gateway", Exit.FORBIDDEN), ("operator", Exit.OK)):
        monkeypatch.setenv("KEYBROKER_TOKEN", TOKENS[name])
        done = await asyncio.to_thread(run_here, "keys", "list")
        assert done.code == code
        assert TOKENS[name] not in done.out + done.err


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Simulator]:
    """Simulated providers, which a `.env` file points to."""
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator.start())
        urls = {name: {"base_url": sim.base_url(name)} for name in ("openai", "groq")}
        for name in urls:
            sim.add_key(name, f"{name}-secret-1")
        lines = [
            f"KEYBROKER_PROVIDERS='{json.dumps(urls)}'",
            "OPENAI_API_KEY_1=openai-secret-1",
            "OPENAI_API_KEY_2=openai-secret-2",
            "GROQ_API_KEY=groq-secret-1",
        ]
        (tmp_path / ".env").write_text("\n".join(lines))
        yield sim


async def test_check_tells_a_pipeline_whether_the_keys_work(
    providers: Simulator, tmp_path: Path
) -> None:
    """Rejected, let through, proved, hung, faulty: each with its own exit code."""
    check = partial(keybroker, "check", cwd=tmp_path)
    rejected = await check()
    assert rejected.code == Exit.REJECTED
    results = {line.split()[0]: line.split()[2] for line in rejected.out.splitlines()[1:]}
    assert results == {
        "groq/default": "authenticated",
        "openai/1": "authenticated",
        "openai/2": "rejected",
    }
    assert "secret" not in rejected.out + rejected.err
    tolerant = await check("--require", "any", "--format", "json")
    assert tolerant.code == Exit.OK
    assert [(key["key_id"], key["result"]) for key in tolerant.json["keys"]] == [
        ("groq/default", "PROBE_RESULT_AUTHENTICATED"),
        ("openai/1", "PROBE_RESULT_AUTHENTICATED"),
        ("openai/2", "PROBE_RESULT_REJECTED"),
    ]
    providers.hang(dialect="groq")
    hung = await check("--provider", "groq", "--timeout", "0.3")
    assert hung.code == Exit.UNPROVED
    assert "inconclusive" in hung.out
    providers.release(dialect="groq")
    with (tmp_path / ".env").open("a") as file:
        file.write("\nnonsense\n")
    faulty = await check("--provider", "groq")
    assert faulty.code == Exit.USAGE
    assert ".env:5: is not NAME=value" in faulty.err
    assert "authenticated" in faulty.out
    (tmp_path / ".env").unlink()
    nothing = await check()
    assert nothing.code == Exit.USAGE
    assert "set OPENAI_API_KEY" in nothing.err
