"""grpc.health.v1: who may be called, by the names that orchestrators and gateways watch."""

from collections.abc import Iterable, Mapping

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from broker.edge.grpc.auth import LEASE_SERVICE

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The named services; a provider's is SERVING while something of it can be leased.

    The lease service is SERVING once this replica is ready, and until it drains: what makes it wait
    at the start depends on keys, what comes later on no key and no store.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self.servicer = aio.HealthServicer()
        self._services = tuple(services)
        self._is_ready = True

    async def start(self) -> None:
        """Say that this replica answers; whether it is ready is said by `show_ready`."""
        for service in self._services:
            is_serving = self._is_ready or service != LEASE_SERVICE
            await self.servicer.set(service, SERVING if is_serving else NOT_SERVING)

    async def show_ready(self, *, is_ready: bool) -> None:
        """Say whether gateways are to come here; before the start, what to start with."""
        self._is_ready = is_ready
        await self.servicer.set(LEASE_SERVICE, SERVING if is_ready else NOT_SERVING)

    async def show_providers(self, runnable: Mapping[str, bool]) -> None:
        """Say which providers have something to lease."""
        for provider, is_runnable in runnable.items():
            await self.servicer.set(f"provider/{provider}", SERVING if is_runnable else NOT_SERVING)

    async def drain(self) -> None:
        """Say of everything, for good, that it does not serve any more."""
        await self.servicer.enter_graceful_shutdown()
