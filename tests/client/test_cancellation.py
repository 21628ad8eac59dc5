"""Who leaves early still leaves a lease in order, in bounded time, and is not held up."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keybroker import AsyncClient, Client
from keybroker.aio import driver
from keybroker.v1 import lease_pb2, outcome_pb2
from tests.client.fake_broker import (
    FakeBroker,
    Script,
    a_lease,
    an_answer,
    answering,
    granting,
    hanging,
    until,
)

CANCELLED = outcome_pb2.TRANSPORT_ERROR_CALLER_CANCELLED


def late(script: Script, seconds: float = 0.15) -> Script:
    """Answer after a while, whether or not somebody still waits."""

    def answer(request: Any, context: Any) -> Any:
        time.sleep(seconds)
        return script(request, context)

    return answer


async def work(client: AsyncClient, *, uses_key: bool = True) -> None:
    """Hold a lease until cancelled."""
    async with client.lease("openai", "gpt-4o") as lease:
        if uses_key:
            lease.headers()
        await asyncio.sleep(60)


async def test_a_block_that_is_cancelled_reports_that_its_caller_left(
    client: AsyncClient, broker: FakeBroker
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await work(client)
    [report] = broker.reports
    assert report.outcome.transport_error == CANCELLED
    assert report.outcome.phase == outcome_pb2.PHASE_BEFORE_FIRST_BYTE
    assert broker.methods == ["AcquireLease", "ReportOutcome"]


async def test_a_block_that_is_cancelled_before_it_used_the_key_gives_the_lease_back(
    client: AsyncClient, broker: FakeBroker
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await work(client, uses_key=False)
    assert broker.methods == ["AcquireLease", "ReleaseLease"]


async def test_a_lease_that_comes_after_its_caller_was_cancelled_is_given_back(
    client: AsyncClient, broker: FakeBroker
) -> None:
    broker.script("AcquireLease", late(granting(a_lease())))
    task = asyncio.create_task(work(client))
    await until(lambda: broker.asked)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert broker.methods == ["AcquireLease", "ReleaseLease"]


async def test_a_call_cancelled_in_its_report_gives_the_next_lease_back(
    client: AsyncClient, broker: FakeBroker
) -> None:
    """The report is heard all the same."""
    answer = an_answer("RATE_LIMITED", "RETRY_OTHER_KEY", lease=a_lease("openai/2"))
    broker.script("ReportOutcome", late(answering(answer)))

    async def run(lease: Any) -> None:
        lease.headers()
        raise ConnectionResetError

    task = asyncio.create_task(client.call(run, "openai", "gpt-4o"))
    await until(lambda: broker.reports)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert broker.methods == ["AcquireLease", "ReportOutcome", "ReleaseLease"]
    assert broker.requests("ReleaseLease")[0].lease_id == "kb1.openai/2"


async def test_a_call_cancelled_while_it_waits_for_its_next_try_gives_the_lease_back(
    client: AsyncClient, broker: FakeBroker
) -> None:
    lease = a_lease("openai/2")
    answer = an_answer("SERVER_ERROR", "RETRY_OTHER_KEY", delay_s=30.0, lease=lease)
    broker.script("ReportOutcome", answering(answer))

    async def run(lease: Any) -> None:
        lease.headers()
        raise ConnectionResetError

    task = asyncio.create_task(client.call(run, "openai", "gpt-4o"))
    await until(lambda: broker.reports)
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})
    assert broker.methods[-1] == "ReleaseLease"


async def test_a_function_that_is_cancelled_is_reported_without_another_try(
    client: AsyncClient, broker: FakeBroker
) -> None:
    async def run(lease: Any) -> None:
        lease.headers()
        await asyncio.sleep(60)

    task = asyncio.create_task(client.call(run, "openai", "gpt-4o"))
    await until(lambda: broker.grants)
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    [report] = broker.reports
    assert report.outcome.transport_error == CANCELLED
    assert not report.HasField("acquire_next")


async def test_a_second_cancellation_leaves_at_once_and_the_report_goes_on(
    client: AsyncClient, broker: FakeBroker
) -> None:
    broker.script("ReportOutcome", late(answering(an_answer()), 0.3))
    task = asyncio.create_task(work(client))
    await until(lambda: broker.grants)
    await asyncio.sleep(0.05)
    task.cancel()
    await until(lambda: broker.reports)
    task.cancel()
    began = time.monotonic()
    await asyncio.wait({task})
    assert time.monotonic() - began < 0.2
    await client.close()
    assert len(broker.reports) == 1


async def test_a_broker_that_hangs_holds_nobody_up_for_long(
    client: AsyncClient, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving has a deadline of its own, also for who is cancelled."""
    monkeypatch.setattr(driver, "FAREWELL_S", 0.2)
    broker.script("ReportOutcome", hanging(5.0), hanging(5.0))
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await work(client)
    async with client.lease("openai", "gpt-4o") as lease:
        lease.sent()
    assert time.monotonic() - began < 1.0


async def test_a_generator_that_is_dropped_in_the_block_says_so_in_the_background(
    client: AsyncClient, broker: FakeBroker
) -> None:
    async def chunks() -> AsyncIterator[str]:
        async with client.lease("openai", "gpt-4o") as lease:
            lease.headers()
            yield "first"
            yield "second"

    stream = chunks()
    assert await anext(stream) == "first"
    await stream.aclose()  # type: ignore[attr-defined]
    await until(lambda: broker.reports)
    assert broker.reports[0].outcome.transport_error == CANCELLED


async def test_a_hold_that_is_cancelled_in_a_request_keeps_its_lease(
    client: AsyncClient, broker: FakeBroker
) -> None:
    """Others use it: only the one request is told as left."""
    broker.news.put(lease_pb2.WatchKeysResponse(synced=lease_pb2.WatchSynced()))
    async with client.hold("openai", "gpt-4o") as hold:

        async def work() -> None:
            async with hold.lease() as lease:
                lease.headers()
                await asyncio.sleep(60)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(), 0.1)
        [report] = broker.reports
        assert report.keep_lease
        assert report.outcome.transport_error == CANCELLED
        async with hold.lease() as lease:
            await lease.report(status=200)
        assert broker.grants == 1


def test_an_interrupted_thread_reports_that_its_caller_left(broker: FakeBroker) -> None:
    with Client(broker.address) as client:

        def work() -> None:
            with client.lease("openai", "gpt-4o") as lease:
                lease.headers()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
    assert broker.reports[0].outcome.transport_error == CANCELLED


def test_a_block_that_outlives_its_loop_ends_quietly(broker: FakeBroker) -> None:
    """Nothing can be said any more: the lease runs out by itself."""
    client = AsyncClient(broker.address)

    async def chunks() -> AsyncIterator[str]:
        async with client.lease("openai", "gpt-4o") as lease:
            lease.headers()
            yield "first"

    stream = chunks()

    async def begin() -> None:
        assert await anext(stream) == "first"
        await client.close()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    with pytest.raises(StopIteration):
        stream.aclose().send(None)  # type: ignore[attr-defined]
    assert broker.methods == ["AcquireLease"]


async def test_a_call_cancelled_in_its_last_report_says_it_again(
    client: AsyncClient, broker: FakeBroker
) -> None:
    """Else the slot would stay taken until the lease expires."""
    broker.script("ReportOutcome", hanging(5.0))

    async def run(lease: Any) -> None:
        lease.headers()

    task = asyncio.create_task(client.call(run, "openai", "gpt-4o", max_attempts=1))
    await until(lambda: broker.reports)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    first, second = broker.reports
    assert first == second
