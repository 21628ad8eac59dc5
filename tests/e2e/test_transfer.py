"""Keys by the thousand: into a broker from files, out of it sealed, and into another one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from keybroker.v1 import policy_pb2
from tests.e2e.command import Done, environment
from tests.e2e.command import keybroker as command
from tests.e2e.processes import MARK, House, house
from tests.e2e.running import Broker
from tests.postgres import new_database

__all__ = ["house"]

HEADER = "tenant_id,provider,secret,key_id,weight"


async def run(broker: Broker, *arguments: str, stdin: str = "") -> Done:
    """Run `keybroker keys …` at a broker; nothing that it says is a secret."""
    env = environment(ADDRESS=broker.address)
    done = await command("keys", *arguments, cwd=broker.log.parent, stdin=stdin, env=env)
    if "--plaintext" not in arguments:
        assert MARK not in done.out + done.err
    return done


async def count(broker: Broker) -> int:
    done = await run(broker, "export", "-o", "-")
    return len(done.out.splitlines())


async def secret_of(broker: Broker, tenant: str) -> str:
    return (await broker.lease(tenant)).api_key.secret.plaintext


def many(number: int, name: str = "many") -> str:
    """A CSV file of so many keys."""
    rows = (f"tenant-{n // 2},openai,sk-{MARK}-{name}-{n},," for n in range(number))
    return "\n".join((HEADER, *rows, ""))


@asynccontextmanager
async def another_database(kind: str, house: House) -> AsyncIterator[dict[str, str]]:
    """Settings of a broker that has all of its own but the sealing key."""
    seal = {"SEAL_KEY_FILE": str(house.beside("seal.key"))}
    if kind == "sqlite":
        yield {"DATABASE": "sqlite:///another/keybroker.db", **seal}
        return
    async with new_database() as url:
        secrets = {"LEASE_SECRETS": "l" * 64, "FINGERPRINT_SECRET": "f" * 64}
        yield {"DATABASE": url, **secrets, **seal}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_keys_move_to_another_broker_sealed(house: House, kind: str) -> None:
    first, second = house.issue("first"), house.issue("second")
    here = await house.start(BOOT_PROBE="off")
    rows = f"{HEADER}\nacme,openai,{first},acme-1,2.5\nbravo,openai,{second},,\n"
    assert (await run(here, "import", "-", "--dry-run", stdin=rows)).code == Exit.OK
    assert await count(here) == 0
    assert (await run(here, "import", "-", stdin=rows)).out == "2 keys created.\n"
    assert await secret_of(here, "bravo") == second
    await here.rotate("acme-1", renewed := house.issue("renewed"))
    exported = await run(here, "export", "-o", "keys.jsonl")
    assert exported.out == "Exported 2 keys to keys.jsonl.\n"

    async with another_database(kind, house) as settings:
        there = await house.start(BOOT_PROBE="off", **settings)
        assert (await run(there, "import", "keys.jsonl")).out == "2 keys created.\n"
        assert await secret_of(there, "acme") in {first, renewed}
        assert await secret_of(there, "bravo") == second
        old, new = await here.key("acme-1"), await there.key("acme-1")
        assert (new.weight, new.owner, len(new.revisions)) == (2.5, "acme", len(old.revisions))
        assert new.revision not in {revision.revision for revision in old.revisions}
        assert (await there.policy("acme")).mode == policy_pb2.POLICY_MODE_TENANT_ONLY

        again = await run(there, "import", "keys.jsonl")
        assert again.code == Exit.USAGE
        assert again.err.splitlines()[0] == "keys.jsonl:1: key_id: there is a key 'acme-1' already"
        assert await count(there) == 2
        [event] = [one for one in await there.events() if one.kind == "keys_imported"]
        assert (event.attributes["keys"], event.attributes["tenants"]) == ("2", "2")
        await there.stop()


async def test_another_sealing_key_takes_nothing_but_plaintext(house: House) -> None:
    secret = house.issue("mine")
    here = await house.start(BOOT_PROBE="off")
    await here.create("acme", secret, "acme-1")
    await run(here, "export", "-o", "keys.jsonl")
    there = await house.start(BOOT_PROBE="off", DATABASE="sqlite:///another/keybroker.db")
    refused = await run(there, "import", "keys.jsonl")
    assert refused.code == Exit.USAGE
    assert refused.err.startswith("keys.jsonl:1: sealed: does not open: this broker lacks")
    assert await count(there) == 0

    seal_key = str(house.beside("seal.key"))
    opened = await run(here, "export", "--plaintext", "--yes", "--seal-key", seal_key)
    assert json.loads(opened.out)["secret"] == secret
    assert (await run(there, "import", "-", stdin=opened.out)).out == "1 key created.\n"
    assert await secret_of(there, "acme") == secret


async def test_of_a_file_with_one_wrong_line_nothing_is_created(house: House) -> None:
    here = await house.start(BOOT_PROBE="off")
    await here.create("acme", f"sk-{MARK}-kept", "kept")
    rows = f"{many(3000)}acme,openai,sk-{MARK}-kept,,\nacme,openai,sk-{MARK}-z,kept,\nbad\n"
    done = await run(here, "import", "-", stdin=rows)
    assert done.code == Exit.USAGE
    assert done.err.splitlines() == [
        "standard input:3002: secret: key 'kept' of this tenant and provider has the same already",
        "standard input:3003: key_id: there is a key 'kept' already",
        "standard input:3004: has 1 value for 5 columns",
        "keybroker: nothing was created: 3 faults in standard input, as told above",
    ]
    assert await count(here) == 1


async def test_on_a_disk_that_is_full_nothing_is_created_until_there_is_room(
    house: House,
) -> None:
    here = await house.start(BOOT_PROBE="off")
    await here.create("acme", f"sk-{MARK}-kept", "kept")
    here.may_write(size=300_000)
    done = await run(here, "import", "-", stdin=many(5000))
    assert done.code == Exit.STORE, done.err
    assert await count(here) == 1
    here.may_write()
    assert (await run(here, "import", "-", stdin=many(5000))).out == "5000 keys created.\n"
    assert await count(here) == 5001


@pytest.mark.parametrize("after_s", [0.3, 0.7, 1.1])
async def test_a_broker_that_is_killed_meanwhile_has_all_or_none(
    house: House, after_s: float
) -> None:
    here = await house.start(BOOT_PROBE="off")
    running = asyncio.create_task(run(here, "import", "-", stdin=many(8000)))
    await asyncio.sleep(0.7 + after_s)
    await here.kill()
    done = await running
    again = await house.start(BOOT_PROBE="off")
    found = await count(again)
    assert found in {0, 8000}
    assert found == 8000 or done.code != Exit.OK
    if not found:
        assert (await run(again, "import", "-", stdin=many(8000))).code == Exit.OK


async def test_leases_go_on_while_thousands_of_keys_come_in(house: House) -> None:
    secret = house.issue("mine")
    here = await house.start(BOOT_PROBE="off")
    await here.create("acme", secret, "acme-1")
    running = asyncio.create_task(run(here, "import", "-", stdin=many(10_000)))
    leased, slowest = 0, 0.0
    loop = asyncio.get_running_loop()
    while not running.done():
        began = loop.time()
        assert await secret_of(here, "acme") == secret
        slowest = max(slowest, loop.time() - began)
        leased += 1
        await asyncio.sleep(0.005)
    assert (await running).out == "10000 keys created.\n"
    assert leased > 20
    assert slowest < 1.0  # a turn of the event loop, on a machine that does much else


def test_the_documentation_names_every_column() -> None:
    """What stands in docs/import-export.md is what the command reads."""
    from broker.cli.transfer.fields import COLUMNS  # noqa: PLC0415 - only here

    text = (Path(__file__).parents[2] / "docs/import-export.md").read_text()
    assert all(f"`{name}`" in text for name in (*COLUMNS, "sealed"))
