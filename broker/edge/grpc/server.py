"""The gRPC server: its options, its services, and how it ends."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from broker.edge.bearer import BearerTokens
from broker.edge.grpc.auth import HEALTH_SERVICE, REFLECTION_SERVICE
from broker.edge.grpc.flights import Flights
from broker.edge.grpc.health import Health
from broker.edge.grpc.interceptor import Guard
from broker.edge.listen import Address, ListenError

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Room for a batch of 1000 reports with their headers; single fields have limits of their own."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server behind it
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)

NOTICE_S = 0.2
"""Between saying NOT_SERVING and refusing calls, so that who watches health goes elsewhere."""

LINGER_S = 0.3
"""Between refusing calls and closing: a call still in line when the server closes is told
CANCELLED, which nobody dares to retry; one that is refused in words goes elsewhere."""

LANDING_S = 1.5
"""How long aborted handlers may take to clean up."""

log = structlog.get_logger("keybroker")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files; with a client CA, clients must show a certificate that it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """The files as gRPC takes them."""
        ca = self.client_ca.read_bytes() if self.client_ca else None
        pair = (self.key.read_bytes(), self.cert.read_bytes())
        return grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer under its full name."""

    name: str
    add: Callable[[grpc.aio.Server], None]


class GrpcServer:
    """Serves until it is drained."""

    def __init__(
        self,
        services: Sequence[Service],
        tokens: BearerTokens,
        replica: str,
        *,
        tls: ServerTls | None = None,
        has_reflection: bool = True,
    ) -> None:
        names = [service.name for service in services]
        self.health = Health(names)
        self.port = 0
        self._flights = Flights()
        self._tls = tls
        guard = Guard(tokens, self._flights, replica)
        self._server = grpc.aio.server(interceptors=[guard], options=OPTIONS)
        for service in services:
            service.add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, self._server)
        if has_reflection:
            names += [HEALTH_SERVICE, REFLECTION_SERVICE]
            reflection.enable_server_reflection(names, self._server)

    async def start(self, address: Address, setting: str) -> None:
        """Listen; raises ListenError."""
        address.bind(setting).close()  # says why it cannot be had, where gRPC only says that
        with contextlib.suppress(RuntimeError):
            self.port = self._listen(str(address))
        if not self.port:
            raise ListenError(setting, address, "the address is taken")
        await self._server.start()
        await self.health.start()

    async def drain(self, within_s: float) -> None:
        """End gracefully: health first, then no new calls, then those under way to their end.

        What is not done in time is cancelled, and still gets to clean up.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        await self.health.drain()
        await asyncio.sleep(min(NOTICE_S, within_s))
        self._flights.drain()
        grace = max(deadline - loop.time(), 0.0)
        await self._flights.landed(grace)
        await asyncio.sleep(min(LINGER_S, max(deadline - loop.time(), 0.0)))
        await self._server.stop(max(deadline - loop.time(), 0.0))
        # `stop` may return before an aborted handler's `finally` has run.
        if not await self._flights.landed(LANDING_S):
            log.warning("handlers_left_behind")

    def _listen(self, address: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._tls.credentials())
