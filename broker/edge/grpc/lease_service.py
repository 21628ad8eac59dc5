"""LeaseService: see the proto for what each call promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from grpc.aio import ServicerContext

from broker.edge.grpc.auth import LEASE_SERVICE, caller
from broker.edge.grpc.errors import fault_of
from broker.edge.grpc.fields import check_count, check_length, require_lease_id, require_name
from broker.edge.grpc.lease_messages import (
    read_acquire,
    read_renew,
    read_report,
    write_acquired,
    write_answer,
    write_renewed,
)
from broker.edge.grpc.news_messages import write_news
from broker.services.acquisition import Grant
from broker.services.errors import InvalidFieldError, ProviderUnknownError
from broker.services.leasing import Leasing
from broker.services.outcomes import Outcomes
from broker.services.reports import Report
from broker.services.watching import Watching
from keybroker.v1 import errors_pb2, lease_pb2, lease_pb2_grpc

MAX_REPORTS = 1000


@dataclass(frozen=True, slots=True)
class LeaseServicer(lease_pb2_grpc.LeaseServiceServicer):
    """The gateways' service."""

    leasing: Leasing
    outcomes: Outcomes
    watching: Watching
    replica: str

    async def AcquireLease(
        self,
        request: lease_pb2.AcquireLeaseRequest,
        context: ServicerContext[lease_pb2.AcquireLeaseRequest, lease_pb2.AcquireLeaseResponse],
    ) -> lease_pb2.AcquireLeaseResponse:
        answer = await self.leasing.acquire(caller(), read_acquire(request))
        if isinstance(answer, Grant) and _holds(answer):
            await _hand_over(answer, self.leasing.abandon, context)
        return write_acquired(answer)

    async def RenewLease(
        self,
        request: lease_pb2.RenewLeaseRequest,
        context: ServicerContext[lease_pb2.RenewLeaseRequest, lease_pb2.RenewLeaseResponse],
    ) -> lease_pb2.RenewLeaseResponse:
        lease_id, ttl_s = read_renew(request)
        return write_renewed(await self.leasing.renew(caller(), lease_id, ttl_s))

    async def ReleaseLease(
        self,
        request: lease_pb2.ReleaseLeaseRequest,
        context: ServicerContext[lease_pb2.ReleaseLeaseRequest, lease_pb2.ReleaseLeaseResponse],
    ) -> lease_pb2.ReleaseLeaseResponse:
        await self.leasing.release(caller(), require_lease_id(request.lease_id))
        return lease_pb2.ReleaseLeaseResponse()

    async def ReportOutcome(
        self,
        request: lease_pb2.ReportOutcomeRequest,
        context: ServicerContext[lease_pb2.ReportOutcomeRequest, lease_pb2.ReportOutcomeResponse],
    ) -> lease_pb2.ReportOutcomeResponse:
        principal, report = caller(), read_report(request)
        answer = await self.outcomes.report(principal, report)
        follow_up = answer.follow_up
        if isinstance(follow_up, Grant) and _holds(follow_up):
            take_back = partial(self.outcomes.take_back, principal, report)
            await _hand_over(follow_up, take_back, context)
        return write_answer(answer)

    async def ReportOutcomes(
        self,
        request: lease_pb2.ReportOutcomesRequest,
        context: ServicerContext[lease_pb2.ReportOutcomesRequest, lease_pb2.ReportOutcomesResponse],
    ) -> lease_pb2.ReportOutcomesResponse:
        check_length("reports", request.reports, MAX_REPORTS)
        check_length("cache_served", request.cache_served)
        for index, served in enumerate(request.cache_served):
            _check_served(f"cache_served[{index}]", served)
        results = [await self._result(report) for report in request.reports]
        for served in request.cache_served:
            with contextlib.suppress(ProviderUnknownError):  # nothing here that it could hide
                await self.outcomes.served_from_cache(served.provider, served.model, served.hits)
        return lease_pb2.ReportOutcomesResponse(results=results)

    async def WatchKeys(
        self,
        request: lease_pb2.WatchKeysRequest,
        context: ServicerContext[lease_pb2.WatchKeysRequest, lease_pb2.WatchKeysResponse],
    ) -> AsyncIterator[lease_pb2.WatchKeysResponse]:
        async with contextlib.aclosing(self.watching.watch(caller().name)) as news:
            async for item in news:
                yield write_news(item, self.replica)

    async def _result(self, message: lease_pb2.ReportOutcomeRequest) -> lease_pb2.ReportResult:
        """The answer to one report of a batch, or its fault: one bad report fails alone."""
        try:
            answer = await self.outcomes.report(caller(), _read_batched(message))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this report's fault
            return lease_pb2.ReportResult(error=_report_error(error))
        return lease_pb2.ReportResult(answer=write_answer(answer))


def _holds(grant: Grant) -> bool:
    """Does the lease hold what others wait for?"""
    return bool(grant.claims.slots or grant.claims.permits)


async def _hand_over(
    grant: Grant,
    take_back: Callable[[Grant], Awaitable[None]],
    context: ServicerContext[Any, Any],
) -> None:
    """Take a lease back when its caller has gone away meanwhile.

    Sending headers is what tells: it fails, or is cancelled, on a call that nobody waits for.
    """
    try:
        await context.send_initial_metadata(())
    except BaseException:
        if not grant.is_repeat:
            await asyncio.shield(take_back(grant))
        raise


def _read_batched(message: lease_pb2.ReportOutcomeRequest) -> Report:
    if message.HasField("acquire_next"):
        raise InvalidFieldError("acquire_next", "is refused in a batch: use ReportOutcome")
    return read_report(message)


def _check_served(field: str, served: lease_pb2.CacheServed) -> None:
    require_name(f"{field}.provider", served.provider)
    require_name(f"{field}.model", served.model)
    check_count(f"{field}.hits", served.hits)


def _report_error(error: Exception) -> lease_pb2.ReportError:
    fault = fault_of(error, f"/{LEASE_SERVICE}/ReportOutcomes")
    reason = f"ERROR_REASON_{fault.reason or 'UNSPECIFIED'}"
    return lease_pb2.ReportError(
        code=fault.number,
        reason=errors_pb2.ErrorReason.Value(reason),
        message=fault.message,
        metadata=fault.metadata,
    )
