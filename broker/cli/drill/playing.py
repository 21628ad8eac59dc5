"""A drill from the first process to the last, and the record of it."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from broker.cli.drill.environment import environment
from broker.cli.drill.fleet import Fleet, open_fleet
from broker.cli.drill.outlook import Outlook
from broker.cli.drill.plan import PROVIDER, Plan
from broker.cli.drill.record import OWN_KEY, SYSTEM, Recorder, Setup
from broker.cli.drill.screen import DrillScene
from broker.cli.drill.story import Story, new_secret
from broker.cli.drill.traffic import TENANTS, Replicas, Traffic
from broker.cli.screens import Screen, new_screen
from keybroker.v1 import admin_pb2 as admin
from keybroker.v1 import key_pb2, policy_pb2
from keybroker.v1.admin_pb2_grpc import AdminServiceStub

RECORD: Final = "record.jsonl"
DRAW_S: Final = 0.15
CALL_S: Final = 10.0


async def play(plan: Plan, folder: Path, database: str) -> None:
    """Play the stories; the record of it is RECORD in `folder`. Raises CommandError."""
    # The client says that a report was not heard: here that is counted, not told.
    logging.getLogger("keybroker").addHandler(logging.NullHandler())
    _end_on_sigterm()
    first = new_secret()
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_fleet(plan, folder, database, first))
        await _prepare(fleet)
        file = stack.enter_context((folder / RECORD).open("w"))
        recorder = Recorder(file)
        channels = {
            name: await stack.enter_async_context(replica.channel())
            for name, replica in fleet.replicas.items()
        }
        outlook = Outlook(recorder, channels)
        await outlook.begin()
        recorder.write(_setup(plan, fleet, outlook.key_id))
        addresses = {name: replica.address for name, replica in fleet.replicas.items()}
        replicas = Replicas(addresses)
        stack.push_async_callback(replicas.close)
        traffic = Traffic(replicas, fleet.http, recorder, plan.rate)
        screen = stack.enter_context(new_screen(DrillScene(outlook, traffic)))
        await stack.enter_async_context(_behind(outlook.follow(), traffic.run(), _draw(screen)))
        await Story(plan, fleet, outlook, traffic, recorder, first, screen.act).play()


def _end_on_sigterm() -> None:
    """Have SIGTERM end everything in order; a second one does not disturb that."""
    me = asyncio.current_task()
    assert me is not None  # noqa: S101 - a coroutine asks

    def end() -> None:
        if not me.cancelling():
            me.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)


async def _prepare(fleet: Fleet) -> None:
    """One tenant brings its own key, another one is to use the operator's."""
    secret = new_secret()
    await fleet.providers.issue(PROVIDER, secret)
    async with next(iter(fleet.replicas.values())).channel() as channel:
        admins = AdminServiceStub(channel)
        key = admin.CreateKeyRequest(
            tenant_id=TENANTS[OWN_KEY],
            provider=PROVIDER,
            key_id=f"{TENANTS[OWN_KEY]}-1",
            secret=key_pb2.SecretValue(plaintext=secret),
        )
        await admins.CreateKey(key, timeout=CALL_S)
        policy = admin.SetTenantPolicyRequest(
            tenant_id=TENANTS[SYSTEM],
            provider=PROVIDER,
            mode=policy_pb2.POLICY_MODE_SYSTEM_ONLY,
        )
        await admins.SetTenantPolicy(policy, timeout=CALL_S)


def _setup(plan: Plan, fleet: Fleet, key_id: str) -> Setup:
    return Setup(
        at=0.0,
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        options=plan.as_json(),
        replicas=plan.names,
        key_id=key_id,
        environment=environment(fleet.database),
    )


@asynccontextmanager
async def _behind(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do works meanwhile; one that fails ends the block."""
    me = asyncio.current_task()
    assert me is not None  # noqa: S101 - a coroutine asks
    tasks = [asyncio.create_task(work) for work in works]

    def on_end(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            me.cancel()

    for task in tasks:
        task.add_done_callback(on_end)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure


async def _draw(screen: Screen) -> None:
    while True:
        screen.refresh()
        await asyncio.sleep(DRAW_S)
