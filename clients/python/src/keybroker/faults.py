"""The one place where gRPC's errors become the client's."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keybroker.errors import (
    BrokerError,
    BrokerUnavailable,
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    KeyUnusableError,
    LeaseEndedError,
    LeaseExpiredError,
    LeaseUnknownError,
    NotFoundError,
    ProviderUnknownError,
    RoleMissingError,
    TenantForbiddenError,
    TokenRejectedError,
)

DOMAIN: Final = "keybroker"

_DETAILS: Final = "grpc-status-details-bin"

BY_REASON: Final[Mapping[str, type[BrokerError]]] = MappingProxyType(
    {
        "TOKEN_REJECTED": TokenRejectedError,
        "ROLE_MISSING": RoleMissingError,
        "TENANT_FORBIDDEN": TenantForbiddenError,
        "INVALID_FIELD": InvalidRequestError,
        "FIELDS_CONTRADICT": InvalidRequestError,
        "PROVIDER_UNKNOWN": ProviderUnknownError,
        "LEASE_UNKNOWN": LeaseUnknownError,
        "LEASE_EXPIRED": LeaseExpiredError,
        "LEASE_ENDED": LeaseEndedError,
        "KEY_UNUSABLE": KeyUnusableError,
        "DRAINING": BrokerUnavailable,
        "STORE_UNAVAILABLE": BrokerUnavailable,
        "SOURCE_STALE": BrokerUnavailable,
        "INTERNAL": InternalError,
    }
)
"""The class of each reason that a program may act on."""

BY_CODE: Final[Mapping[grpc.StatusCode, type[BrokerError]]] = MappingProxyType(
    {
        grpc.StatusCode.UNAVAILABLE: BrokerUnavailable,
        grpc.StatusCode.DEADLINE_EXCEEDED: BrokerUnavailable,
        grpc.StatusCode.CANCELLED: BrokerUnavailable,  # by the other side: it went away
        grpc.StatusCode.UNAUTHENTICATED: TokenRejectedError,
        grpc.StatusCode.PERMISSION_DENIED: ForbiddenError,
        grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
        grpc.StatusCode.NOT_FOUND: NotFoundError,
        grpc.StatusCode.INTERNAL: InternalError,
    }
)
"""The class of a fault without a reason, or with one that a newer broker knows."""


def fault_of(error: grpc.RpcError, address: str) -> BrokerError:
    """What to raise for a failed RPC. No text of it holds what was sent."""
    code, text = _code(error), _text(error)
    info = _info(error)
    reason = info.reason.removeprefix("ERROR_REASON_") if info else ""
    kind = BY_REASON.get(reason) or BY_CODE.get(code, BrokerError)
    if kind is BrokerUnavailable and not reason:
        text = f"the broker at {address} does not answer: {text or code.name}"
    metadata = dict(info.metadata) if info else {}
    return kind(text or code.name, code.name, reason, metadata)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _text(error: grpc.RpcError) -> str:
    text = error.details() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    return text or ""


def _info(error: grpc.RpcError) -> ErrorInfo | None:
    """The broker's own word on the fault."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return None
    trailers: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()
    for name, value in trailers:
        if name == _DETAILS and isinstance(value, bytes):
            return _unpacked(value)
    return None


def _unpacked(value: bytes) -> ErrorInfo | None:
    info = ErrorInfo()
    try:
        details = Status.FromString(value).details
        if any(detail.Unpack(info) and info.domain == DOMAIN for detail in details):
            return info
    except DecodeError:
        pass  # whoever is on the way wrote it: the status code still tells
    return None
