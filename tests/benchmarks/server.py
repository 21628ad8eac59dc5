"""The servers that the wire figures compare: the broker, and the same server with nothing in it.

`python -m tests.benchmarks.server real|empty` prints its port and serves until it is killed.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from broker.adapters.structlog import configure_logging
from broker.app import build
from broker.config import Settings
from broker.edge.bearer import BearerTokens
from broker.edge.grpc.auth import LEASE_SERVICE
from broker.edge.grpc.server import GrpcServer, Service
from broker.edge.listen import Address
from broker.services.boot import BootPolicy
from keybroker.v1 import key_pb2, lease_pb2, lease_pb2_grpc

KEYS = 100


class EmptyLeases(lease_pb2_grpc.LeaseServiceServicer):
    """Answers of the same shape, made once: what is left is gRPC and the interceptor."""

    def __init__(self) -> None:
        self._lease = lease_pb2.AcquireLeaseResponse(
            lease=lease_pb2.Lease(
                lease_id="kb1." + "x" * 300,
                key_id="openai/1",
                revision="0" * 16,
                provider="openai",
                model="gpt-4o",
                provider_model="gpt-4o",
                base_url="https://api.openai.com/v1",
                api_key=lease_pb2.ApiKey(
                    secret=key_pb2.SecretValue(plaintext="x" * 20),
                    header_name="Authorization",
                    header_prefix="Bearer ",
                ),
            )
        )
        self._answer = lease_pb2.ReportOutcomeResponse(lease_state=lease_pb2.LEASE_STATE_ENDED)

    async def AcquireLease(self, request: Any, context: Any) -> lease_pb2.AcquireLeaseResponse:
        return self._lease

    async def ReportOutcome(self, request: Any, context: Any) -> lease_pb2.ReportOutcomeResponse:
        return self._answer

    async def RenewLease(self, request: Any, context: Any) -> lease_pb2.RenewLeaseResponse:
        return lease_pb2.RenewLeaseResponse()

    async def ReleaseLease(self, request: Any, context: Any) -> lease_pb2.ReleaseLeaseResponse:
        return lease_pb2.ReleaseLeaseResponse()

    async def ReportOutcomes(self, request: Any, context: Any) -> lease_pb2.ReportOutcomesResponse:
        return lease_pb2.ReportOutcomesResponse()

    async def WatchKeys(self, request: Any, context: Any) -> Any:
        for _ in ():
            yield _


async def serve_real() -> None:
    """The broker with KEYS keys of one provider."""
    environ = {f"OPENAI_API_KEY_{number}": f"bench-secret-{number}" for number in range(KEYS)}
    env_file = Path(tempfile.mkdtemp()) / ".env"
    env_file.touch()
    settings = Settings(
        database="memory",
        grpc_listen="127.0.0.1:0",
        http_listen="",
        boot_probe=BootPolicy.OFF,
        env_file=env_file,
    )
    app = await build(settings, environ=environ)
    await app.start()
    print(app.grpc_port, flush=True)
    await asyncio.Event().wait()


async def serve_empty() -> None:
    """The same server options and interceptor, around handlers that do nothing."""
    leases = EmptyLeases()

    def add(server: Any) -> None:
        lease_pb2_grpc.add_LeaseServiceServicer_to_server(leases, server)

    server = GrpcServer([Service(LEASE_SERVICE, add)], BearerTokens({}), "bench")
    await server.start(Address("127.0.0.1", 0), "bench")
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging("warning")
    uvloop.run(serve_real() if sys.argv[1] == "real" else serve_empty())
