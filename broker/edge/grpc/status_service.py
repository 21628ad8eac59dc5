"""StatusService: see the proto for what each call promises."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from grpc.aio import ServicerContext

from broker.edge.grpc.auth import caller
from broker.edge.grpc.errors import RoleMissingError
from broker.edge.grpc.fields import check_name, require_name
from broker.edge.grpc.outcome_messages import read_outcome
from broker.edge.grpc.shared_messages import read_page
from broker.edge.grpc.status_messages import (
    read_explained_acquire,
    write_classified,
    write_explanation,
    write_runnable_models,
    write_status,
)
from broker.services.classifying import Classifying
from broker.services.errors import InvalidFieldError
from broker.services.explain import Explain
from broker.services.principal import READERS, Principal
from broker.services.privacy import Privacy
from broker.services.runnable import Runnable
from broker.services.status import Status
from keybroker.v1 import status_pb2, status_pb2_grpc


@dataclass(frozen=True, slots=True)
class StatusServicer(status_pb2_grpc.StatusServiceServicer):
    """Everybody's service: it changes nothing."""

    status: Status
    privacy: Privacy
    explain: Explain
    runnable: Runnable
    classifying: Classifying

    async def GetStatus(
        self,
        request: status_pb2.GetStatusRequest,
        context: ServicerContext[status_pb2.GetStatusRequest, status_pb2.GetStatusResponse],
    ) -> status_pb2.GetStatusResponse:
        status = self.privacy.shown_to(caller(), self.status.now())
        return status_pb2.GetStatusResponse(status=write_status(status))

    async def WatchStatus(
        self,
        request: status_pb2.WatchStatusRequest,
        context: ServicerContext[status_pb2.WatchStatusRequest, status_pb2.WatchStatusResponse],
    ) -> AsyncIterator[status_pb2.WatchStatusResponse]:
        principal = caller()
        async with aclosing(self.status.watch()) as news:
            async for status in news:
                shown = self.privacy.shown_to(principal, status)
                yield status_pb2.WatchStatusResponse(status=write_status(shown))

    async def ListRunnableModels(
        self,
        request: status_pb2.ListRunnableModelsRequest,
        context: ServicerContext[
            status_pb2.ListRunnableModelsRequest, status_pb2.ListRunnableModelsResponse
        ],
    ) -> status_pb2.ListRunnableModelsResponse:
        tenant = check_name("tenant_id", request.tenant_id)
        provider = check_name("provider", request.provider)
        name = _on_behalf_of(caller(), "", tenant)
        page = await self.runnable.page(name, tenant, provider, read_page(request))
        return write_runnable_models(page)

    async def ExplainAcquire(
        self,
        request: status_pb2.ExplainAcquireRequest,
        context: ServicerContext[
            status_pb2.ExplainAcquireRequest, status_pb2.ExplainAcquireResponse
        ],
    ) -> status_pb2.ExplainAcquireResponse:
        acquire = read_explained_acquire(request)
        principal = check_name("principal", request.principal)
        name = _on_behalf_of(caller(), principal, acquire.tenant)
        return write_explanation(await self.explain.acquire(name, acquire))

    async def ClassifyOutcome(
        self,
        request: status_pb2.ClassifyOutcomeRequest,
        context: ServicerContext[
            status_pb2.ClassifyOutcomeRequest, status_pb2.ClassifyOutcomeResponse
        ],
    ) -> status_pb2.ClassifyOutcomeResponse:
        speaker = request.WhichOneof("speaker")
        if speaker is None:
            raise InvalidFieldError("speaker", "is required: dialect or provider")
        name = require_name(speaker, getattr(request, speaker))
        if not request.HasField("outcome"):
            raise InvalidFieldError("outcome", "is required")
        outcome = read_outcome(request.outcome, needs_id=False)
        if speaker == "dialect":
            return write_classified(self.classifying.by_dialect(name, outcome))
        return write_classified(self.classifying.by_provider(name, outcome))


def _on_behalf_of(asker: Principal, principal: str, tenant: str) -> str:
    """The gateway to decide for: another than the caller, and any tenant, for readers only.

    Raises RoleMissingError and TenantForbiddenError.
    """
    name = principal or asker.name
    if asker.roles & READERS:
        return name
    if name != asker.name:
        raise RoleMissingError(asker.name, READERS)
    asker.check_tenant(tenant)
    return name
