"""A call ends in many ways, and says how to its caller and to the broker."""

import asyncio
import time
from typing import Any

import grpc
import httpx
import pytest

from keybroker import (
    AsyncClient,
    BrokerUnavailable,
    CallTimeoutError,
    Phase,
    TransportError,
)
from keybroker.v1 import outcome_pb2
from tests.client.advice import other_key
from tests.client.conftest import Door, status
from tests.client.fake_broker import (
    FakeBroker,
    a_denial,
    an_answer,
    answering,
    failing,
    hanging,
)


async def test_an_exception_of_the_http_client_is_retried_as_advised(
    door: Door, broker: FakeBroker
) -> None:
    broker.script("ReportOutcome", other_key("UNREACHABLE", "RETRY_SAME_KEY"))
    tries = [httpx.ReadTimeout("slow"), None]

    def run(lease: Any) -> str:
        lease.headers()
        error = tries.pop(0)
        if error is not None:
            raise error
        return "text"

    served = await door.call(run)
    assert served.response == "text"
    assert [attempt.error for attempt in served.attempts] == ["ReadTimeout", ""]
    first, second = broker.reports
    assert first.outcome.transport_error == outcome_pb2.TRANSPORT_ERROR_TIMEOUT
    assert second.outcome.http_status == 200


async def test_the_last_exception_is_raised_with_a_note_of_the_attempts(
    door: Door, broker: FakeBroker
) -> None:
    denial = a_denial("UPSTREAM_OPEN", "SWITCH_MODEL")
    broker.script(
        "ReportOutcome", answering(an_answer("UNREACHABLE", "SWITCH_MODEL", denial=denial))
    )

    def run(lease: Any) -> None:
        lease.headers()
        raise httpx.ConnectError("no route")

    with pytest.raises(httpx.ConnectError) as told:
        await door.call(run)
    [note] = told.value.__notes__
    assert "openai/gpt-4o with openai/1: UNREACHABLE" in note
    assert "UPSTREAM_OPEN" in note


async def test_a_callers_own_error_ends_the_call_at_once(door: Door, broker: FakeBroker) -> None:
    def run(lease: Any) -> None:
        lease.headers()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await door.call(run)
    [report] = broker.reports
    assert not report.HasField("acquire_next")
    assert report.outcome.transport_error == outcome_pb2.TRANSPORT_ERROR_CALLER_CANCELLED


async def test_an_answer_that_needed_no_key_gives_the_lease_back(
    door: Door, broker: FakeBroker
) -> None:
    """A cache answered: neither success nor failure of the key."""
    served = await door.call(lambda _lease: "cached")
    assert served.response == "cached"
    assert served.last.verdict is None
    assert broker.methods == ["AcquireLease", "ReleaseLease"]


async def test_a_report_without_an_answer_does_not_cost_the_response(
    door: Door, broker: FakeBroker
) -> None:
    broker.script("ReportOutcome", failing(grpc.StatusCode.INTERNAL))
    served = await door.call(status(200))
    assert served.response.status == 200
    assert served.last.verdict is None
    assert not served.ok


async def test_what_the_function_did_not_manage_in_time_is_told_as_the_callers_deadline(
    client: AsyncClient, broker: FakeBroker
) -> None:
    async def run(lease: Any) -> None:
        lease.headers()
        assert 0 < lease.time_left <= 0.1
        await asyncio.sleep(60)

    with pytest.raises(CallTimeoutError) as told:
        await client.call(run, "openai", "gpt-4o", timeout=0.1)
    assert isinstance(told.value, TimeoutError)
    [report] = broker.reports
    assert report.outcome.transport_error == outcome_pb2.TRANSPORT_ERROR_CALLER_DEADLINE


async def test_a_timeout_of_the_functions_own_is_the_providers(
    client: AsyncClient, broker: FakeBroker
) -> None:
    async def run(lease: Any) -> None:
        lease.headers()
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await client.call(run, "openai", "gpt-4o", max_attempts=1)
    [report] = broker.reports
    assert report.outcome.transport_error == outcome_pb2.TRANSPORT_ERROR_TIMEOUT


async def test_a_function_that_reports_by_itself_has_the_last_word(
    client: AsyncClient, broker: FakeBroker
) -> None:
    async def run(lease: Any) -> str:
        lease.headers()
        await lease.report(status=200, interim=True)
        await lease.report(status=200, transport_error=TransportError.RESET, phase=Phase.MID_STREAM)
        return "half"

    served = await client.call(run, "openai", "gpt-4o")
    assert served.response == "half"
    interim, final = broker.reports
    assert interim.outcome.interim
    assert interim.outcome.outcome_id != final.outcome.outcome_id
    assert final.outcome.phase == outcome_pb2.PHASE_MID_STREAM


async def test_after_first_bytes_a_break_is_told_as_mid_stream(
    client: AsyncClient, broker: FakeBroker
) -> None:
    async def run(lease: Any) -> None:
        lease.headers()
        await lease.report(status=200, interim=True)
        raise httpx.ReadError("reset")

    with pytest.raises(httpx.ReadError):
        await client.call(run, "openai", "gpt-4o")
    assert broker.reports[-1].outcome.phase == outcome_pb2.PHASE_MID_STREAM


async def test_an_unreachable_broker_is_said_in_time(broker: FakeBroker) -> None:
    broker.stop()
    began = time.monotonic()
    async with AsyncClient(broker.address, timeout=0.3) as client:
        with pytest.raises(BrokerUnavailable, match=broker.address):
            await client.call(lambda _lease: asyncio.sleep(0), "openai", "gpt-4o")
    assert time.monotonic() - began < 1.0


async def test_the_deadline_of_a_call_is_also_that_of_its_acquire(
    door: Door, broker: FakeBroker
) -> None:
    broker.script("AcquireLease", hanging(5.0))
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await door.call(status(200), timeout=0.2)
    assert time.monotonic() - began < 0.7
