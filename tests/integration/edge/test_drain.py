"""A drain: health first, no new calls, those under way finish, every handler runs to its end."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from keybroker.v1 import lease_pb2
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from tests.integration.edge.conftest import ASK, info_of
from tests.integration.edge.stub_leases import StubLeases, serve

Connect = Callable[[int], Awaitable[grpc.aio.Channel]]


async def test_a_call_under_way_finishes_and_a_new_one_is_sent_elsewhere(connect: Connect) -> None:
    leases = StubLeases()
    server = await serve(leases)
    stub = LeaseServiceStub(await connect(server.port))
    under_way = stub.AcquireLease(ASK)
    await leases.entered.wait()
    draining = asyncio.create_task(server.drain(5.0))
    await asyncio.sleep(0.4)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ReleaseLease(lease_pb2.ReleaseLeaseRequest(lease_id="x"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert info_of(caught.value).reason == "ERROR_REASON_DRAINING"
    assert info_of(caught.value).metadata == {"replica": "replica-1"}
    leases.gate.set()
    assert await under_way == lease_pb2.AcquireLeaseResponse()
    await draining
    assert leases.cleaned_up == ["AcquireLease"]


async def test_health_turns_before_calls_are_refused(connect: Connect) -> None:
    leases = StubLeases()
    server = await serve(leases)
    channel = await connect(server.port)
    call: grpc.aio.UnaryStreamMultiCallable[HealthCheckRequest, HealthCheckResponse]
    call = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    watch = aiter(call(HealthCheckRequest(service="keybroker.v1.LeaseService")))
    assert (await anext(watch)).status == HealthCheckResponse.SERVING
    draining = asyncio.create_task(server.drain(5.0))
    assert (await anext(watch)).status == HealthCheckResponse.NOT_SERVING
    release = lease_pb2.ReleaseLeaseRequest(lease_id="x")
    await LeaseServiceStub(channel).ReleaseLease(release)
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(watch)
    await draining


async def test_a_stream_ends_and_says_why(connect: Connect) -> None:
    leases = StubLeases()
    leases.cleanup_s = 0.3
    server = await serve(leases)
    watch = LeaseServiceStub(await connect(server.port)).WatchKeys(lease_pb2.WatchKeysRequest())
    await watch.read()
    await leases.entered.wait()
    draining = asyncio.create_task(server.drain(5.0))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert info_of(caught.value).reason == "ERROR_REASON_DRAINING"
    await draining
    assert leases.cleaned_up == ["WatchKeys"]


async def test_a_handler_that_is_aborted_still_cleans_up_before_the_end(connect: Connect) -> None:
    leases = StubLeases()
    leases.cleanup_s = 0.5
    server = await serve(leases)
    under_way = LeaseServiceStub(await connect(server.port)).AcquireLease(ASK)
    await leases.entered.wait()
    began = asyncio.get_running_loop().time()
    await server.drain(0.5)
    assert leases.cleaned_up == ["AcquireLease"]
    assert asyncio.get_running_loop().time() - began < 3.0
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await under_way


async def test_an_idle_server_drains_at_once(connect: Connect) -> None:
    server = await serve(StubLeases())
    await connect(server.port)
    began = asyncio.get_running_loop().time()
    await server.drain(25.0)
    assert asyncio.get_running_loop().time() - began < 2.0
