"""What callers are told when something is wrong, on the wire."""

from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from structlog.testing import capture_logs

from keybroker.v1 import lease_pb2, outcome_pb2
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from tests.integration.edge.conftest import ASK, OpenApp, a_key, health_of, info_of
from tests.integration.edge.stub_leases import StubLeases, serve

Connect = Callable[[int], Awaitable[grpc.aio.Channel]]


async def test_an_unhandled_exception_is_a_reference_and_never_its_text(connect: Connect) -> None:
    server = await serve(StubLeases())
    stub = LeaseServiceStub(await connect(server.port))
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RenewLease(lease_pb2.RenewLeaseRequest(lease_id="x"))
    error = caught.value
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "sk-live-secret" not in f"{error.details()} {error.trailing_metadata()}"
    reference = info_of(error).metadata["reference"]
    assert reference in str(error.details())
    assert [log["reference"] for log in logs if log["event"] == "call_failed"] == [reference]
    await server.drain(0.0)


async def test_bytes_that_are_no_request_are_the_callers_fault(connect: Connect) -> None:
    server = await serve(StubLeases())
    channel = await connect(server.port)
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    call = channel.unary_unary("/keybroker.v1.LeaseService/AcquireLease")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert info_of(caught.value).reason == "ERROR_REASON_INVALID_FIELD"
    await server.drain(0.0)


async def test_an_unknown_method_is_unimplemented(open_app: OpenApp, connect: Connect) -> None:
    channel = await connect((await open_app()).grpc_port)
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    call = channel.unary_unary("/keybroker.v1.LeaseService/Nothing")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unknown_provider_is_told_with_those_that_are_known(
    open_app: OpenApp, connect: Connect
) -> None:
    stub = LeaseServiceStub(await connect((await open_app()).grpc_port))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.AcquireLease(lease_pb2.AcquireLeaseRequest(provider="opnai", model="m"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    info = info_of(caught.value)
    assert info.reason == "ERROR_REASON_PROVIDER_UNKNOWN"
    assert info.metadata["provider"] == "opnai"
    assert "openai" in info.metadata["known_providers"].split(",")


async def test_in_a_batch_one_bad_report_fails_alone(open_app: OpenApp, connect: Connect) -> None:
    stub = LeaseServiceStub(await connect((await open_app()).grpc_port))
    lease = (await stub.AcquireLease(ASK)).lease
    outcome = outcome_pb2.Outcome(outcome_id="o1", http_status=200)
    good = lease_pb2.ReportOutcomeRequest(lease_id=lease.lease_id, outcome=outcome)
    forged = lease_pb2.ReportOutcomeRequest(lease_id="kb1.forged", outcome=outcome)
    bad = lease_pb2.ReportOutcomeRequest(lease_id=lease.lease_id)
    greedy = lease_pb2.ReportOutcomeRequest(acquire_next=lease_pb2.AcquireNext())
    answer = await stub.ReportOutcomes(
        lease_pb2.ReportOutcomesRequest(
            reports=[bad, forged, greedy, good],
            cache_served=[lease_pb2.CacheServed(provider="gone", model="m", hits=1)],
        )
    )
    assert [result.WhichOneof("result") for result in answer.results] == [
        "error",
        "error",
        "error",
        "answer",
    ]
    assert [result.error.code for result in answer.results[:3]] == [3, 5, 3]
    assert answer.results[0].error.metadata == {"field": "outcome", "problem": "is required"}


async def test_a_batch_of_1001_is_refused_whole(open_app: OpenApp, connect: Connect) -> None:
    stub = LeaseServiceStub(await connect((await open_app()).grpc_port))
    reports = [lease_pb2.ReportOutcomeRequest(lease_id="x" * 500)] * 1001
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ReportOutcomes(lease_pb2.ReportOutcomesRequest(reports=reports))
    assert info_of(caught.value).metadata["field"] == "reports"
    answer = await stub.ReportOutcomes(lease_pb2.ReportOutcomesRequest(reports=reports[:-1]))
    assert len(answer.results) == 1000


async def test_a_provider_is_healthy_while_it_has_something_to_lease(
    open_app: OpenApp, connect: Connect
) -> None:
    channel = await connect((await open_app(a_key())).grpc_port)
    for service in ("", "keybroker.v1.LeaseService", "provider/openai"):
        assert await health_of(channel, service) == HealthCheckResponse.SERVING
    assert await health_of(channel, "provider/groq") == HealthCheckResponse.NOT_SERVING
