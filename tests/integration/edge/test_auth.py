"""Bearer tokens and roles, on the wire."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from broker.app import App
from keybroker.v1 import admin_pb2, lease_pb2, status_pb2
from keybroker.v1.admin_pb2_grpc import AdminServiceStub
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from keybroker.v1.status_pb2_grpc import StatusServiceStub
from tests.integration.edge.conftest import ASK, OpenApp, health_of, info_of

Connect = Callable[[int], Awaitable[grpc.aio.Channel]]

TOKENS = [
    {"name": "chat", "token": "token-of-the-gateway", "roles": ["gateway"], "tenants": ["acme-*"]},
    {"name": "eyes", "token": "token-of-the-observer", "roles": ["observer"]},
    {
        "name": "ops",
        "token": "token-of-the-operator",
        "roles": ["operator"],
        "untenanted": False,
    },
]
CALLS: dict[str, Callable[[grpc.aio.Channel, Any], Awaitable[object]]] = {
    "lease": lambda channel, metadata: LeaseServiceStub(channel).AcquireLease(
        ASK, metadata=metadata
    ),
    "status": lambda channel, metadata: StatusServiceStub(channel).GetStatus(
        status_pb2.GetStatusRequest(), metadata=metadata
    ),
    "admin": lambda channel, metadata: AdminServiceStub(channel).ListKeys(
        admin_pb2.ListKeysRequest(), metadata=metadata
    ),
}


@pytest.fixture
async def app(open_app: OpenApp) -> App:
    return await open_app(tokens=TOKENS)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.parametrize("metadata", [(), bearer("nobody-has-this"), (("authorization", "x"),)])
@pytest.mark.parametrize("call", CALLS)
async def test_without_a_known_token_nothing_is_answered(
    app: App, connect: Connect, call: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await CALLS[call](await connect(app.grpc_port), metadata)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert info_of(caught.value).reason == "ERROR_REASON_TOKEN_REJECTED"
    assert info_of(caught.value).metadata == {"metadata_key": "authorization"}


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("token-of-the-gateway", {"lease", "status"}),
        ("token-of-the-observer", {"status"}),
        ("token-of-the-operator", {"status", "admin"}),
    ],
    ids=["gateway", "observer", "operator"],
)
async def test_each_role_may_call_its_services(
    app: App, connect: Connect, token: str, allowed: set[str]
) -> None:
    channel = await connect(app.grpc_port)
    for name, call in CALLS.items():
        if name in allowed:
            await call(channel, bearer(token))
            continue
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, bearer(token))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert info_of(caught.value).reason == "ERROR_REASON_ROLE_MISSING"


async def test_a_stream_needs_a_role_too(app: App, connect: Connect) -> None:
    stub = LeaseServiceStub(await connect(app.grpc_port))
    request = lease_pb2.WatchKeysRequest()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.WatchKeys(request, metadata=bearer("token-of-the-observer")).read()
    assert info_of(caught.value).metadata == {"principal": "eyes", "roles": "gateway"}
    watch = stub.WatchKeys(request, metadata=bearer("token-of-the-gateway"))
    news = await watch.read()
    assert isinstance(news, lease_pb2.WatchKeysResponse)
    assert news.synced.replica == "replica-1"
    watch.cancel()


async def test_a_gateway_leases_for_its_own_tenants_only(app: App, connect: Connect) -> None:
    stub = LeaseServiceStub(await connect(app.grpc_port))
    metadata = bearer("token-of-the-gateway")
    request = lease_pb2.AcquireLeaseRequest(provider="openai", model="m", tenant_id="acme-1")
    assert (await stub.AcquireLease(request, metadata=metadata)).HasField("lease")
    request.tenant_id = "other"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.AcquireLease(request, metadata=metadata)
    assert info_of(caught.value).reason == "ERROR_REASON_TENANT_FORBIDDEN"


async def test_health_is_open_to_orchestrators_and_reflection_is_not(
    app: App, connect: Connect
) -> None:
    channel = await connect(app.grpc_port)
    assert await health_of(channel, "") == HealthCheckResponse.SERVING
    reflect: grpc.aio.StreamStreamMultiCallable[ServerReflectionRequest, ServerReflectionResponse]
    reflect = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )
    ask = ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(reflect(iter([ask]))))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    known = reflect(iter([ask]), metadata=bearer("token-of-the-observer"))
    answer = await anext(aiter(known))
    names = {service.name for service in answer.list_services_response.service}
    assert "keybroker.v1.LeaseService" in names


async def test_http_shows_keys_to_those_with_a_token_only(app: App) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.http_port}") as http:
        for path in ("/status", "/metrics"):
            assert (await http.get(path)).status_code == 401
            headers = {"authorization": "Bearer token-of-the-observer"}
            assert (await http.get(path, headers=headers)).status_code == 200
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
