"""The way to the broker fails in many ways; what may be repeated is, under the same name."""

import asyncio
import time
from typing import Any

import grpc
import pytest

from keybroker import (
    AsyncClient,
    BrokerUnavailable,
    Client,
    ClientClosedError,
    InternalError,
    LeaseUnknownError,
    TokenRejectedError,
)
from keybroker.aio import driver
from tests.client.conftest import AsyncDoor, Door, status
from tests.client.fake_broker import (
    FakeBroker,
    Script,
    a_lease,
    an_answer,
    answering,
    failing,
    granting,
    hanging,
    until,
)

UNAVAILABLE = failing(grpc.StatusCode.UNAVAILABLE)
DRAINING = failing(grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING", replica="r0")


def losing(script: Script) -> Script:
    """Do what is asked, and lose the answer."""

    def lose(request: Any, context: grpc.ServicerContext) -> None:
        script(request, context)
        context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")

    return lose


async def test_unavailable_is_tried_again(door: Door, broker: FakeBroker) -> None:
    broker.script("AcquireLease", UNAVAILABLE, UNAVAILABLE)
    broker.script("ReportOutcome", UNAVAILABLE)
    assert (await door.call(status(200))).ok
    assert broker.methods == ["AcquireLease"] * 3 + ["ReportOutcome"] * 2


@pytest.mark.parametrize("code", ["CANCELLED", "DEADLINE_EXCEEDED"])
async def test_what_a_dying_server_says_is_tried_again(
    door: Door, broker: FakeBroker, code: str
) -> None:
    """A call in line when a server closes is told CANCELLED; all calls here may be repeated."""
    broker.script("AcquireLease", failing(grpc.StatusCode[code]))
    await door.lease()


async def test_an_acquire_whose_answer_was_lost_is_repeated_as_the_same_attempt(
    door: Door, broker: FakeBroker
) -> None:
    """So the broker gives the same lease again instead of a second slot."""
    broker.script("AcquireLease", losing(granting(a_lease())))
    await door.lease()
    first, second = broker.requests("AcquireLease")
    assert first == second
    assert first.request_id


async def test_a_report_whose_answer_was_lost_is_repeated_as_the_same_outcome(
    door: Door, broker: FakeBroker
) -> None:
    broker.script("ReportOutcome", losing(answering(an_answer())))
    assert (await door.call(status(200))).ok
    first, second = broker.reports
    assert first == second


async def test_a_caller_who_reports_once_more_reports_the_same_outcome(
    client: AsyncClient, broker: FakeBroker
) -> None:
    """Whatever the caller's own retries do, one call is counted once."""
    async with client.lease("openai", "gpt-4o") as lease:
        await lease.report(status=200)
        await lease.report(status=200)
    first, second = broker.reports
    assert first.outcome.outcome_id == second.outcome.outcome_id


async def test_a_lease_that_a_lost_report_had_brought_is_given_back(broker: FakeBroker) -> None:
    """The repeat at the end gets the same answer, with a lease that nobody waits for."""
    broker.script(
        "ReportOutcome",
        hanging(1.0),
        answering(an_answer("RATE_LIMITED", "RETRY_OTHER_KEY", lease=a_lease("openai/2"))),
    )

    async with AsyncClient(broker.address, timeout=0.2) as client:
        with pytest.raises(BrokerUnavailable):
            async with client.lease("openai", "gpt-4o") as lease:
                await lease.report(status=429)
    assert broker.methods[-2:] == ["ReportOutcome", "ReleaseLease"]
    assert broker.requests("ReleaseLease")[0].lease_id == "kb1.openai/2"


async def test_a_replica_that_drains_is_left_for_another_connection(
    door: Door, broker: FakeBroker
) -> None:
    broker.script("AcquireLease", DRAINING)
    began = time.monotonic()
    await door.lease()
    assert time.monotonic() - began < 1.0
    first, second = (line for line in broker.peers[:2])
    assert first != second


async def test_a_broker_that_hangs_is_given_up_in_time(broker: FakeBroker) -> None:
    broker.script("AcquireLease", hanging(5.0))
    began = time.monotonic()
    async with AsyncClient(broker.address, timeout=0.3) as client:
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            await AsyncDoor(client).lease()
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (failing(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL", reference="5f"), InternalError),
        (failing(grpc.StatusCode.NOT_FOUND, "ERROR_REASON_LEASE_UNKNOWN"), LeaseUnknownError),
        (failing(grpc.StatusCode.UNAUTHENTICATED), TokenRejectedError),
    ],
)
async def test_what_will_not_change_is_not_tried_again(
    door: Door, broker: FakeBroker, script: Script, error: type[Exception]
) -> None:
    broker.script("AcquireLease", script)
    with pytest.raises(error):
        await door.lease()
    assert broker.methods == ["AcquireLease"]


async def test_a_broker_that_restarts_in_the_middle_of_a_call_costs_nothing(
    door: Door, broker: FakeBroker
) -> None:
    """Killed while it thinks; back at the same address a moment later."""
    broker.script("AcquireLease", hanging(5.0))
    lease = asyncio.create_task(door.lease())
    await until(lambda: broker.asked)
    await asyncio.to_thread(broker.stop)
    await asyncio.sleep(0.1)
    await asyncio.to_thread(broker.start)
    await lease
    first, second = broker.requests("AcquireLease")[:2]
    assert first == second


async def test_a_closed_client_says_so(broker: FakeBroker) -> None:
    client, sync_client = AsyncClient(broker.address), Client(broker.address)
    await client.close()
    sync_client.close()
    with pytest.raises(ClientClosedError):
        await AsyncDoor(client).lease()
    with pytest.raises(ClientClosedError), sync_client.lease("openai", "gpt-4o"):
        pass


async def test_closing_breaks_off_what_still_waits(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bounded time, and with an error that says what happened."""
    monkeypatch.setattr(driver, "FAREWELL_S", 0.2)
    broker.script("AcquireLease", hanging(10.0))
    client = AsyncClient(broker.address, timeout=10.0)
    lease = asyncio.create_task(AsyncDoor(client).lease())
    await until(lambda: broker.asked)
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 1.0
    with pytest.raises(ClientClosedError):
        await lease


async def test_a_client_is_not_used_across_a_fork(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(broker.address) as client:
        with client.lease("openai", "gpt-4o"):
            pass
        monkeypatch.setattr("os.getpid", lambda: -1)
        with pytest.raises(ClientClosedError, match="fork"), client.lease("openai", "gpt-4o"):
            pass
