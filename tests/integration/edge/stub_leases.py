"""A LeaseService of a test's own: what the server does around handlers, without the broker's."""

import asyncio
from collections.abc import AsyncIterator

import grpc

from broker.edge.bearer import BearerTokens
from broker.edge.grpc.auth import LEASE_SERVICE
from broker.edge.grpc.server import GrpcServer, Service
from broker.edge.listen import Address
from keybroker.v1 import lease_pb2, lease_pb2_grpc


class StubLeases(lease_pb2_grpc.LeaseServiceServicer):
    """AcquireLease waits for `gate`, RenewLease raises, WatchKeys sends one message and waits."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.cleaned_up: list[str] = []
        self.cleanup_s = 0.0

    async def AcquireLease(
        self, request: object, context: object
    ) -> lease_pb2.AcquireLeaseResponse:
        self.entered.set()
        try:
            await self.gate.wait()
        finally:
            await asyncio.sleep(self.cleanup_s)
            self.cleaned_up.append("AcquireLease")
        return lease_pb2.AcquireLeaseResponse()

    async def RenewLease(self, request: object, context: object) -> lease_pb2.RenewLeaseResponse:
        raise ValueError("the secret is sk-live-secret")

    async def WatchKeys(
        self, request: object, context: object
    ) -> AsyncIterator[lease_pb2.WatchKeysResponse]:
        try:
            yield lease_pb2.WatchKeysResponse(synced=lease_pb2.WatchSynced())
            self.entered.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.cleanup_s)
            self.cleaned_up.append("WatchKeys")

    async def ReleaseLease(
        self, request: object, context: object
    ) -> lease_pb2.ReleaseLeaseResponse:
        return lease_pb2.ReleaseLeaseResponse()

    async def ReportOutcome(
        self, request: object, context: object
    ) -> lease_pb2.ReportOutcomeResponse:
        return lease_pb2.ReportOutcomeResponse()

    async def ReportOutcomes(
        self, request: object, context: object
    ) -> lease_pb2.ReportOutcomesResponse:
        return lease_pb2.ReportOutcomesResponse()


async def serve(leases: StubLeases) -> GrpcServer:
    """A server around `leases`; the test drains it."""

    def add(server: grpc.aio.Server) -> None:
        lease_pb2_grpc.add_LeaseServiceServicer_to_server(leases, server)

    server = GrpcServer([Service(LEASE_SERVICE, add)], BearerTokens(), "replica-1")
    await server.start(Address("127.0.0.1", 0), "KEYBROKER_GRPC_LISTEN")
    return server
