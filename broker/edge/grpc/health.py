"""grpc.health.v1: who may be called, by the names that orchestrators and gateways watch."""

from collections.abc import Iterable, Mapping

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The named services; a provider's is SERVING while something of it can be leased."""

    def __init__(self, services: Iterable[str]) -> None:
        self.servicer = aio.HealthServicer()
        self._services = tuple(services)

    async def start(self) -> None:
        """Say that this replica serves: from now on that depends on no key and no store."""
        for service in self._services:
            await self.servicer.set(service, SERVING)

    async def show_providers(self, runnable: Mapping[str, bool]) -> None:
        """Say which providers have something to lease."""
        for provider, is_runnable in runnable.items():
            await self.servicer.set(f"provider/{provider}", SERVING if is_runnable else NOT_SERVING)

    async def drain(self) -> None:
        """Say of everything, for good, that it does not serve any more."""
        await self.servicer.enter_graceful_shutdown()
