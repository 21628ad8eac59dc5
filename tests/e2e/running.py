"""A broker that runs as a process: what gateways and operators do at its door, and its end."""

import asyncio
import json
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keybroker.v1 import (
    admin_pb2,
    denial_pb2,
    event_pb2,
    key_pb2,
    lease_pb2,
    policy_pb2,
    status_pb2,
    verdict_pb2,
)
from tests.e2e.conftest import MODELS
from tests.gateway import Gateway
from tests.integration.edge.conftest import info_of

STOP_S = 10.0

State = key_pb2.KeyState


class Fault(NamedTuple):
    """How a call failed: the status, the reason for programs, the words for people."""

    code: grpc.StatusCode
    reason: str
    message: str
    cause: str = ""


@dataclass
class Broker:
    """One process, with a gateway and an operator at its door."""

    process: asyncio.subprocess.Process
    log: Path
    address: str
    gateway: Gateway

    @property
    def http_url(self) -> str:
        """Where its status is, if it has one."""
        port = next(line["http"] for line in self.logged() if line["event"] == "serving")
        return f"http://127.0.0.1:{port}"

    async def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        await self.process.wait()

    def may_write(self, *, size: int = resource.RLIM_INFINITY) -> None:
        """No file of the process may grow beyond a size, as on a disk that takes nothing more."""
        limit = resource.RLIMIT_FSIZE
        _, hard = resource.prlimit(self.process.pid, limit)
        resource.prlimit(self.process.pid, limit, (size if hard < 0 else min(size, hard), hard))

    async def stop(self) -> float:
        """Have it end in order; how long that took."""
        began = time.monotonic()
        self.process.terminate()
        await asyncio.wait_for(self.process.wait(), STOP_S)
        assert self.process.returncode == 0, self.log.read_text()
        assert self.logged()[-1]["event"] == "stopped"
        return time.monotonic() - began

    def logged(self) -> list[dict[str, Any]]:
        """Its log so far; each line is a JSON object."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, event: str) -> list[dict[str, Any]]:
        """What it logged of one kind."""
        return [line for line in self.logged() if line["event"] == event]

    async def says(self, event: str, within_s: float = 5.0) -> None:
        """Wait until it has logged that."""

        async def has() -> bool:
            return bool(self.said(event))

        await until(has, within_s)

    async def status(self) -> status_pb2.BrokerStatus:
        answer = await self.gateway.status.GetStatus(status_pb2.GetStatusRequest())
        return answer.status

    async def is_ready(self) -> bool:
        """What gRPC's health service tells those who route."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            asked = health_pb2.HealthCheckRequest(service="keybroker.v1.LeaseService")
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know no calls
            answer = await stub.Check(asked)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def key(self, key_id: str) -> key_pb2.Key:
        answer = await self.gateway.admin.GetKey(admin_pb2.GetKeyRequest(key_id=key_id))
        return answer.key

    async def states(self) -> dict[str, str]:
        """All keys by id, with their states as people say them."""
        answer = await self.gateway.admin.ListKeys(admin_pb2.ListKeysRequest(page_size=1000))
        return {key.key_id: state_of(key) for key in answer.keys}

    async def events(self) -> list[event_pb2.Event]:
        """What happened, the oldest first."""
        request = admin_pb2.ListEventsRequest(page_size=1000)
        answer = await self.gateway.admin.ListEvents(request, timeout=10.0)
        return list(reversed(answer.events))

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.events()]

    async def create(self, tenant: str, secret: str, key_id: str, provider: str = "openai") -> None:
        request = admin_pb2.CreateKeyRequest(
            tenant_id=tenant,
            provider=provider,
            key_id=key_id,
            secret=key_pb2.SecretValue(plaintext=secret),
        )
        await self.gateway.admin.CreateKey(request)

    async def rotate(self, key_id: str, secret: str) -> None:
        value = key_pb2.SecretValue(plaintext=secret)
        request = admin_pb2.RotateKeyRequest(key_id=key_id, secret=value)
        await self.gateway.admin.RotateKey(request)

    async def delete(self, key_id: str) -> None:
        await self.gateway.admin.DeleteKey(admin_pb2.DeleteKeyRequest(key_id=key_id))

    async def set_policy(
        self, tenant: str, mode: policy_pb2.PolicyMode.ValueType, provider: str = "openai"
    ) -> None:
        request = admin_pb2.SetTenantPolicyRequest(tenant_id=tenant, provider=provider, mode=mode)
        await self.gateway.admin.SetTenantPolicy(request)

    async def policy(self, tenant: str, provider: str = "openai") -> policy_pb2.TenantPolicy:
        request = admin_pb2.GetTenantPolicyRequest(tenant_id=tenant, provider=provider)
        [policy] = (await self.gateway.admin.GetTenantPolicy(request)).policies
        return policy

    async def lease(self, tenant: str = "", provider: str = "openai") -> lease_pb2.Lease:
        answer = await self.gateway.acquire(provider, MODELS[provider], tenant=tenant)
        assert answer.HasField("lease"), answer.denial
        return answer.lease

    async def denied(self, tenant: str = "", provider: str = "openai") -> denial_pb2.Denial:
        answer = await self.gateway.acquire(provider, MODELS[provider], tenant=tenant)
        assert answer.HasField("denial"), answer.lease.key_id
        return answer.denial

    async def renew(self, lease: lease_pb2.Lease) -> lease_pb2.RenewLeaseResponse:
        request = lease_pb2.RenewLeaseRequest(lease_id=lease.lease_id)
        return await self.gateway.leases.RenewLease(request)


class Traffic:
    """Callers who never pause; every call that does not end well is kept."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._task = asyncio.create_task(self._run())
        self.secrets: set[str] = set()
        self.calls = 0
        self.bad: list[object] = []

    async def _run(self) -> None:
        while True:
            answer = await self._broker.gateway.acquire("openai", MODELS["openai"])
            if not answer.HasField("lease"):
                self.bad.append(answer.denial)
                return
            self.secrets.add(answer.lease.api_key.secret.plaintext)
            judged = await self._broker.gateway.use(answer.lease)
            if judged.verdict.kind != verdict_pb2.VERDICT_KIND_OK:
                self.bad.append(judged.verdict)
            self.calls += 1

    async def end(self) -> None:
        """Stop; every call was served."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        assert self.calls > 0
        assert self.bad == []


async def fault_of(call: Awaitable[object]) -> Fault:
    """How a call fails; it must."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    info = info_of(error)
    reason = info.reason.removeprefix("ERROR_REASON_")
    return Fault(error.code(), reason, error.details() or "", info.metadata["cause"])


async def until(
    holds: Callable[[], Awaitable[object]], within_s: float = 5.0, every_s: float = 0.05
) -> float:
    """Wait until this holds; how long it took."""
    began = time.monotonic()
    while not await holds():
        assert time.monotonic() - began < within_s, holds
        await asyncio.sleep(every_s)
    return time.monotonic() - began


def state_of(key: key_pb2.Key) -> str:
    """A key's state as people say it."""
    return State.Name(key.state).removeprefix("KEY_STATE_").lower()
