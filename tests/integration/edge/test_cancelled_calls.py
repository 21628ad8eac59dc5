"""Calls whose caller goes away: no slot and no permit stays behind."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from broker.services.choosing import Choosing, Look
from keybroker.v1 import lease_pb2, outcome_pb2
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from tests.integration.edge.conftest import ASK, OpenApp, a_key

Connect = Callable[[int], Awaitable[grpc.aio.Channel]]


@contextlib.contextmanager
def slow_choices() -> Iterator[None]:
    """Every choice holds up the event loop, so that callers are gone when it is made."""
    look = Choosing.look

    def slow(self: Choosing, *args: object) -> Look:
        time.sleep(0.2)
        return look(self, *args)  # type: ignore[arg-type] # as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Choosing, "look", slow)
        yield


async def test_a_slot_granted_to_nobody_is_given_back(open_app: OpenApp, connect: Connect) -> None:
    app = await open_app(a_key(concurrency=1))
    stub = LeaseServiceStub(await connect(app.grpc_port))
    with slow_choices():
        for _ in range(3):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stub.AcquireLease(ASK, timeout=0.1)
        await asyncio.sleep(0.5)
    claims, now = app.core.world.claims, app.core.world.clock.now()
    assert claims.slots_in_use("openai", "openai/1", now) == 0
    assert (await stub.AcquireLease(ASK)).HasField("lease")


async def test_a_next_lease_granted_to_nobody_is_given_back(
    open_app: OpenApp, connect: Connect
) -> None:
    app = await open_app(a_key("openai/1", concurrency=1), a_key("openai/2", concurrency=1))
    stub = LeaseServiceStub(await connect(app.grpc_port))
    lease = (await stub.AcquireLease(ASK)).lease
    report = lease_pb2.ReportOutcomeRequest(
        lease_id=lease.lease_id,
        outcome=outcome_pb2.Outcome(outcome_id="o1", http_status=429),
        acquire_next=lease_pb2.AcquireNext(ttl=Duration(seconds=60)),
    )
    with slow_choices():
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ReportOutcome(report, timeout=0.1)
        await asyncio.sleep(0.8)
    claims, now = app.core.world.claims, app.core.world.clock.now()
    in_use = [claims.slots_in_use("openai", key, now) for key in ("openai/1", "openai/2")]
    assert in_use == [0, 0]
    assert (await stub.ReportOutcome(report)).HasField("lease")
