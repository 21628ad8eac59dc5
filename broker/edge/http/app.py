"""Metrics, liveness, readiness and status over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from broker.edge.bearer import BearerTokens
from broker.services.principal import Principal

ShowStatus = Callable[[Principal], Mapping[str, object]]
"""The status as JSON values, as a principal may see it."""


@dataclass(frozen=True, slots=True)
class HttpApi:
    """What the routes read."""

    registry: CollectorRegistry
    show_status: ShowStatus
    not_ready: Callable[[], Sequence[str]]
    tokens: BearerTokens

    def app(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/livez", self.livez),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
                Route("/status", self.status),
            ]
        )

    async def livez(self, _request: Request) -> Response:
        """The process runs and its event loop turns."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Calls are taken, as the gRPC health service says it; else why not, a reason a line."""
        reasons = self.not_ready()
        if not reasons:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("".join(f"{reason}\n" for reason in reasons), status_code=503)

    async def metrics(self, request: Request) -> Response:
        """The metrics in Prometheus' text format."""
        if self._caller(request) is None:
            return _refused()
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def status(self, request: Request) -> Response:
        """What StatusService.GetStatus answers, as JSON."""
        principal = self._caller(request)
        return _refused() if principal is None else JSONResponse(self.show_status(principal))

    def _caller(self, request: Request) -> Principal | None:
        """What shows keys by name needs a token where the API does; any role will do."""
        return self.tokens.principal(request.headers.get("authorization", ""))


def _refused() -> Response:
    return PlainTextResponse(
        "no principal has this token: send `authorization: Bearer <token>`\n",
        status_code=401,
        headers={"www-authenticate": "Bearer"},
    )
