"""A process that makes brokers' database processes and has them killed: `python -m` this.

It reads one order a line: {"work", "path", "kill_at", "uid"}. For each it forks a child, which
opens the database, does the work, and writes a line for each step that it was told is durable. The
child kills itself at its `kill_at`-th statement, commit or return of a connection; 0 lets it live.
The answer is one line: {"killed", "told"}.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from broker.adapters.sql import (
    Database,
    SqlEventHistory,
    SqlFactLog,
    SqlKeyStore,
    SqlLastGoodStore,
    SqlMarkStore,
)
from broker.adapters.structlog import configure_logging
from broker.core.key import KeySettings
from broker.core.snapshot import Snapshot
from broker.core.tenancy import PolicyMode
from broker.ports.errors import PortError
from tests.fakes import START, FakeClock
from tests.integration.sql.sql_given import (
    LAST_GOOD,
    MARK,
    POLICY,
    a_fact,
    a_key,
    a_revision,
    an_event,
)

Tell = Callable[[str], None]
Work = Callable[[Database, Tell], Awaitable[None]]
LATER = START + 3600.0


async def prepare(database: Database, tell: Tell) -> None:
    """What is there before: a key with two revisions, marks, a snapshot, facts, events."""
    keys, facts = SqlKeyStore(database), SqlFactLog(database, FakeClock())
    await keys.create(a_key("acme/1", "bb", "aa"), POLICY)
    await SqlMarkStore(database).put(MARK)
    await SqlLastGoodStore(database).put(LAST_GOOD)
    for number in range(5):
        await facts.append(a_fact(f"old{number}"), 0.0)
    await facts.save_snapshot(Snapshot("openai", 3, START))
    tell("prepared")


async def create(database: Database, tell: Tell) -> None:
    await SqlKeyStore(database).create(a_key("bravo/1", "dd", "cc", tenant="bravo"), B_POLICY)
    tell("created")


async def add_revision(database: Database, tell: Tell) -> None:
    await SqlKeyStore(database).add_revision("acme/1", a_revision("cc", LATER))
    tell("added")


async def update(database: Database, tell: Tell) -> None:
    await SqlKeyStore(database).update("acme/1", KeySettings(weight=2.0, account="x"), LATER)
    tell("updated")


async def delete(database: Database, tell: Tell) -> None:
    await SqlKeyStore(database).delete("acme/1")
    tell("deleted")


async def put_policy(database: Database, tell: Tell) -> None:
    await SqlKeyStore(database).put_policy(replace(POLICY, mode=PolicyMode.SYSTEM_ONLY))
    tell("put")


async def put_mark(database: Database, tell: Tell) -> None:
    await SqlMarkStore(database).put(replace(MARK, at=LATER, reason="still leaked"))
    tell("put")


async def put_last_good(database: Database, tell: Tell) -> None:
    await SqlLastGoodStore(database).put(replace(LAST_GOOD, revision="bb"))
    tell("put")


async def append(database: Database, tell: Tell) -> None:
    log = await SqlFactLog.open(database, FakeClock())
    await asyncio.gather(*(log.append(a_fact(f"new{number}"), 0.0) for number in range(5)))
    tell("appended")


async def save_snapshot(database: Database, tell: Tell) -> None:
    """The second one, which trims the log."""
    await SqlFactLog(database, FakeClock()).save_snapshot(Snapshot("openai", 5, LATER))
    tell("saved")


async def record(database: Database, tell: Tell) -> None:
    history = SqlEventHistory(database, FakeClock())
    for number in range(5):
        history.record(an_event(number))
    await history.page(before=None, limit=1)
    tell("recorded")


async def nothing(_database: Database, tell: Tell) -> None:
    tell("opened")


async def churn(database: Database, tell: Tell) -> None:
    """Everything at once, for ever, telling of all that is durable."""
    keys = SqlKeyStore(database)
    log = await SqlFactLog.open(database, FakeClock())
    life = os.urandom(3).hex()

    async def keep_rotating() -> None:
        for number in range(1_000_000):
            tenant = f"{life}-{number}"
            key = a_key(f"{tenant}/1", "aa", tenant=tenant)
            await keys.create(key, replace(POLICY, tenant=tenant))
            tell(f"created {key.key_id}")
            await keys.add_revision(key.key_id, a_revision("bb"))
            tell(f"rotated {key.key_id}")
            if number % 3 == 0:
                await keys.delete(key.key_id)
                tell(f"deleted {key.key_id}")

    async def keep_logging() -> None:
        for number in range(1_000_000):
            logged = await log.append(a_fact(f"{life}-{number}"), 0.0)
            tell(f"logged {logged.position}")
            if number % 20 == 19:
                await log.save_snapshot(Snapshot("openai", logged.position, LATER))
                tell(f"snapshot {logged.position}")

    await asyncio.gather(keep_rotating(), keep_logging())


B_POLICY = replace(POLICY, tenant="bravo")
WORKS: dict[str, Work] = {
    work.__name__: work
    for work in (
        prepare,
        create,
        add_revision,
        update,
        delete,
        put_policy,
        put_mark,
        put_last_good,
        append,
        save_snapshot,
        record,
        nothing,
        churn,
    )
}
"""What a victim can be told to do."""


def arm(kill_at: int) -> None:
    """Have this process killed at its next `kill_at`-th step."""
    steps = 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", step)
    event.listen(Engine, "commit", step)
    event.listen(Pool, "checkin", step)


async def live(order: dict[str, object], tell: Tell) -> None:
    work, path, kill_at = str(order["work"]), Path(str(order["path"])), order["kill_at"]
    assert isinstance(kill_at, int)
    if work == "nothing":
        arm(kill_at)
    try:
        database = await Database.open(path, "victim", busy_s=0.2)
    except PortError as error:
        tell(f"{type(error).__name__}: {error}")
        return
    if work != "nothing":
        arm(kill_at)
    await WORKS[work](database, tell)
    await database.close()


def fork(order: dict[str, object]) -> tuple[int, int]:
    """A child that carries out an order: its pid, and where it tells."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    os.close(reader)
    uid = order.get("uid")
    if isinstance(uid, int):
        os.setgid(uid)
        os.setuid(uid)

    def tell(line: str) -> None:
        os.write(writer, f"{line}\n".encode())

    try:
        asyncio.run(live(order, tell))
    except BaseException:  # noqa: BLE001 - whatever it was, this is a child and ends here
        traceback.print_exc()
    finally:
        os._exit(0)


def load_everything() -> None:
    """A child that gave up its rights may not be able to import."""
    with TemporaryDirectory() as folder:
        order: dict[str, object] = {"work": "prepare", "path": f"{folder}/broker.db", "kill_at": 0}
        asyncio.run(live(order, lambda _: None))


def main() -> None:
    configure_logging("error")
    load_everything()
    for line in sys.stdin:
        order = json.loads(line)
        pid, reader = fork(order)
        if order["work"] == "churn":
            told = os.read(reader, 1)  # it lives: from now on any moment will do
            signal.setitimer(signal.ITIMER_REAL, order["lives_s"])
            signal.signal(signal.SIGALRM, lambda *_, pid=pid: os.kill(pid, signal.SIGKILL))
        else:
            told = b""
        while part := os.read(reader, 65536):
            told += part
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        answer = {"killed": os.WIFSIGNALED(status), "told": told.decode().splitlines()}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
