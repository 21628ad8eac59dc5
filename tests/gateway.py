"""A gateway as the tests drive it: leases over real gRPC, calls over real HTTP, raw reports."""

import time
import uuid
from dataclasses import dataclass, field

import grpc
import httpx
from google.protobuf.duration_pb2 import Duration

from keybroker.v1 import (
    admin_pb2_grpc,
    lease_pb2,
    lease_pb2_grpc,
    outcome_pb2,
    status_pb2_grpc,
)
from simulator.client import generation

MAX_BODY_BYTES = 16 * 1024


def duration(seconds: float) -> Duration:
    """A protobuf duration."""
    value = Duration()
    value.FromNanoseconds(int(seconds * 1e9))
    return value


@dataclass
class Gateway:
    """One calling service; `token` "" calls without credentials."""

    channel: grpc.aio.Channel
    http: httpx.AsyncClient
    token: str = ""
    metadata: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.metadata = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        self.leases = lease_pb2_grpc.LeaseServiceStub(self.channel)
        self.status = status_pb2_grpc.StatusServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)

    async def acquire(
        self, provider: str, model: str, request_id: str = "", attempt: int = 0, tenant: str = ""
    ) -> lease_pb2.AcquireLeaseResponse:
        """Ask for a lease."""
        request = lease_pb2.AcquireLeaseRequest(
            tenant_id=tenant,
            provider=provider,
            model=model,
            request_id=request_id,
            attempt=attempt,
        )
        return await self.leases.AcquireLease(request, metadata=self.metadata)

    async def lease(self, provider: str, model: str, request_id: str = "") -> lease_pb2.Lease:
        """A lease; fails the test on a denial."""
        answer = await self.acquire(provider, model, request_id)
        assert answer.HasField("lease"), answer.denial
        return answer.lease

    async def call(self, lease: lease_pb2.Lease, prompt: str = "Hello") -> outcome_pb2.Outcome:
        """Call the provider with the leased key, and say raw how it went."""
        url, body = generation(lease.provider, lease.base_url, lease.provider_model, prompt)
        key = lease.api_key
        headers = {key.header_name: key.header_prefix + key.secret.plaintext, **key.extra_headers}
        began = time.monotonic()
        try:
            response = await self.http.post(url, json=body, headers=headers)
        except httpx.TimeoutException:
            return self.outcome(began, transport_error=outcome_pb2.TRANSPORT_ERROR_TIMEOUT)
        except httpx.TransportError:
            return self.outcome(began, transport_error=outcome_pb2.TRANSPORT_ERROR_RESET)
        outcome = self.outcome(began, http_status=response.status_code)
        outcome.headers.update(response.headers)
        outcome.body = response.content[:MAX_BODY_BYTES]
        return outcome

    def outcome(
        self,
        began: float | None = None,
        *,
        http_status: int = 0,
        body: bytes = b"",
        transport_error: outcome_pb2.TransportError.ValueType = (
            outcome_pb2.TRANSPORT_ERROR_UNSPECIFIED
        ),
    ) -> outcome_pb2.Outcome:
        """An outcome of a call that began at this monotonic time (None: just now)."""
        ago_s = 0.0 if began is None else time.monotonic() - began
        return outcome_pb2.Outcome(
            outcome_id=uuid.uuid4().hex,
            started_ago=duration(ago_s),
            http_status=http_status,
            body=body,
            transport_error=transport_error,
            phase=outcome_pb2.PHASE_COMPLETE,
        )

    async def report(
        self,
        lease: lease_pb2.Lease,
        outcome: outcome_pb2.Outcome,
        *,
        keep_lease: bool = False,
        will_retry: bool = False,
        acquire_next: lease_pb2.AcquireNext | None = None,
    ) -> lease_pb2.ReportOutcomeResponse:
        """Report an outcome."""
        request = lease_pb2.ReportOutcomeRequest(
            lease_id=lease.lease_id,
            outcome=outcome,
            keep_lease=keep_lease,
            will_retry=will_retry,
            acquire_next=acquire_next,
        )
        return await self.leases.ReportOutcome(request, metadata=self.metadata)

    async def use(self, lease: lease_pb2.Lease) -> lease_pb2.ReportOutcomeResponse:
        """Call and report in one go."""
        return await self.report(lease, await self.call(lease))
