"""The one table that turns faults into gRPC statuses with details a program can act on."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Never

import grpc
import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc.aio import ServicerContext

from broker.edge.grpc.times import duration
from broker.ports.errors import SealClosedError, StoreUnavailableError
from broker.services.errors import InvalidFieldError, ServiceError

DOMAIN: Final = "keybroker"
STORE_RETRY_S: Final = 1.0
MAX_TEXT: Final = 1024
"""Status texts travel in headers, of which a client takes 8 KiB."""

STATUS_CODES: Final[Mapping[str, grpc.StatusCode]] = MappingProxyType(
    {
        "TOKEN_REJECTED": grpc.StatusCode.UNAUTHENTICATED,
        "ROLE_MISSING": grpc.StatusCode.PERMISSION_DENIED,
        "TENANT_FORBIDDEN": grpc.StatusCode.PERMISSION_DENIED,
        "INVALID_FIELD": grpc.StatusCode.INVALID_ARGUMENT,
        "FIELDS_CONTRADICT": grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID": grpc.StatusCode.INVALID_ARGUMENT,
        "PROVIDER_UNKNOWN": grpc.StatusCode.NOT_FOUND,
        "KEY_UNKNOWN": grpc.StatusCode.NOT_FOUND,
        "LEASE_UNKNOWN": grpc.StatusCode.NOT_FOUND,
        "DIALECT_UNKNOWN": grpc.StatusCode.NOT_FOUND,
        "KEY_EXISTS": grpc.StatusCode.ALREADY_EXISTS,
        "KEY_DUPLICATE": grpc.StatusCode.ALREADY_EXISTS,
        "KEY_SOURCE_OWNED": grpc.StatusCode.FAILED_PRECONDITION,
        "LEASE_EXPIRED": grpc.StatusCode.FAILED_PRECONDITION,
        "LEASE_ENDED": grpc.StatusCode.FAILED_PRECONDITION,
        "KEY_UNUSABLE": grpc.StatusCode.FAILED_PRECONDITION,
        "DRAINING": grpc.StatusCode.UNAVAILABLE,
        "INTERNAL": grpc.StatusCode.INTERNAL,
        "STORE_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
        "SEALED": grpc.StatusCode.FAILED_PRECONDITION,
        "SOURCE_STALE": grpc.StatusCode.UNAVAILABLE,
        "SEALING_KEY_MISSING": grpc.StatusCode.FAILED_PRECONDITION,
        "IMPORT_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""The status code of each reason."""

log = structlog.get_logger("keybroker")


class TokenRejectedError(ServiceError):
    """The call carries no bearer token, or one that no principal has."""

    reason = "TOKEN_REJECTED"

    def __init__(self) -> None:
        super().__init__(
            "no principal has this token: send metadata `authorization: Bearer <token>`",
            {"metadata_key": "authorization"},
        )


class RoleMissingError(ServiceError):
    """The principal has none of the roles that may make this call."""

    reason = "ROLE_MISSING"

    def __init__(self, principal: str, roles: Iterable[str]) -> None:
        names = ",".join(sorted(roles))
        super().__init__(
            f"{principal!r} may not call this: one of these roles is needed: {names or 'none'}",
            {"principal": principal, "roles": names},
        )


class DrainingError(ServiceError):
    """This replica is shutting down."""

    reason = "DRAINING"

    def __init__(self, replica: str) -> None:
        super().__init__(
            "this replica is shutting down: retry on another connection", {"replica": replica}
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """What a caller is told of an error."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_s: float | None = None

    @property
    def number(self) -> int:
        """The code as google.rpc.Code numbers it."""
        number: int = self.code.value[0]
        return number

    @property
    def details(self) -> list[Message]:
        """What a program needs in order to act."""
        details: list[Message] = []
        if self.reason:
            reason = f"ERROR_REASON_{self.reason}"
            details.append(ErrorInfo(reason=reason, domain=DOMAIN, metadata=self.metadata))
        if self.reason == "INVALID_FIELD":
            violation = BadRequest.FieldViolation(
                field=self.metadata["field"], description=self.metadata["problem"]
            )
            details.append(BadRequest(field_violations=[violation]))
        if self.retry_s is not None:
            details.append(RetryInfo(retry_delay=duration(self.retry_s)))
        return details

    def status(self) -> bytes:
        """The serialised google.rpc.Status."""
        packed = []
        for detail in self.details:
            packed.append(Any())
            packed[-1].Pack(detail)
        status = Status(code=self.number, message=self.message, details=packed)
        return status.SerializeToString()


def fault_of(error: Exception, method: str) -> Fault:
    """What to tell of an error; one that nobody foresaw is told as a reference to the log."""
    if isinstance(error, DecodeError):
        error = InvalidFieldError("request", "cannot be read: generate clients from these protos")
    if isinstance(error, ServiceError):
        metadata = {name: value[:MAX_TEXT] for name, value in error.metadata.items()}
        code = STATUS_CODES[error.reason]
        return Fault(code, error.message[:MAX_TEXT], error.reason, metadata)
    if isinstance(error, StoreUnavailableError | SealClosedError):
        return _fault_of_port(error)
    reference = secrets.token_hex(6)
    log.error("call_failed", method=method, reference=reference, exc_info=error)
    message = f"a bug in the broker: quote reference {reference}, its log tells more"
    return Fault(grpc.StatusCode.INTERNAL, message, "INTERNAL", {"reference": reference})


def _fault_of_port(error: StoreUnavailableError | SealClosedError) -> Fault:
    """What to tell of a fault outside the broker; its text is made to be shown."""
    cause = str(error)[: MAX_TEXT // 2]
    if isinstance(error, SealClosedError):
        message = f"secrets can be neither sealed nor opened: {cause}"
        return Fault(STATUS_CODES["SEALED"], message, "SEALED", {"cause": cause})
    message = f"{cause}; nothing was changed: retry"
    reason, code = "STORE_UNAVAILABLE", STATUS_CODES["STORE_UNAVAILABLE"]
    return Fault(code, message, reason, {"cause": cause}, retry_s=STORE_RETRY_S)


async def fail(context: ServicerContext[object, object], error: Exception, method: str) -> Never:
    """End a call with the fault that `error` is."""
    if isinstance(error, grpc.aio.AbortError | asyncio.CancelledError):
        raise error
    fault = fault_of(error, method)
    details = (("grpc-status-details-bin", fault.status()),)
    await context.abort(fault.code, fault.message, details)
