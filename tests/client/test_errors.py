"""Faults become one class each that a program may act on; what is not known falls back."""

import pickle

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

import keybroker
from keybroker import (
    BrokerError,
    BrokerUnavailable,
    Denial,
    DenialReason,
    Denied,
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    KeybrokerError,
    KeyUnusableError,
    LeaseLostError,
    NotFoundError,
    ProviderUnknownError,
    RoleMissingError,
    TenantForbiddenError,
    TokenRejectedError,
    errors,
)
from keybroker.faults import BY_REASON, fault_of
from keybroker.v1 import errors_pb2
from tests.client.fake_broker import a_denial

ADDRESS = "broker.test:443"
FOR_OPERATORS = {
    "UNSPECIFIED",
    "PAGE_TOKEN_INVALID",
    "KEY_UNKNOWN",
    "DIALECT_UNKNOWN",
    "KEY_EXISTS",
    "KEY_DUPLICATE",
    "KEY_SOURCE_OWNED",
    "SEALED",
    "SEALING_KEY_MISSING",
    "IMPORT_TOO_LARGE",
}
"""Reasons that no call of LeaseService has."""


class Told(grpc.aio.AioRpcError):
    """A failed RPC."""

    def __init__(self, code: grpc.StatusCode, *trailers: tuple[str, str | bytes]) -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), "said")


def told(
    code: grpc.StatusCode, reason: str = "", domain: str = "keybroker", **metadata: str
) -> BrokerError:
    """What a fault becomes."""
    packed = AnyMessage()
    packed.Pack(ErrorInfo(reason=reason, domain=domain, metadata=metadata))
    status = Status(code=code.value[0], details=[packed]).SerializeToString()
    return fault_of(Told(code, ("grpc-status-details-bin", status)), ADDRESS)


def test_every_reason_that_gateways_meet_has_its_class() -> None:
    known = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118 - an enum wrapper
    assert set(BY_REASON) == known - FOR_OPERATORS


def test_a_fault_says_code_reason_and_metadata() -> None:
    fault = told(
        grpc.StatusCode.NOT_FOUND,
        "ERROR_REASON_PROVIDER_UNKNOWN",
        provider="opnai",
        known_providers="anthropic,openai",
    )
    assert isinstance(fault, ProviderUnknownError)
    assert fault.known_providers == ("anthropic", "openai")
    assert (fault.code, fault.reason, fault.message) == ("NOT_FOUND", "PROVIDER_UNKNOWN", "said")
    assert fault.metadata["provider"] == "opnai"
    assert str(fault) == "said"


def test_what_a_reason_documents_can_be_read() -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    role = told(denied, "ERROR_REASON_ROLE_MISSING", roles="gateway,operator")
    assert isinstance(role, RoleMissingError)
    assert role.roles == ("gateway", "operator")
    tenant = told(denied, "ERROR_REASON_TENANT_FORBIDDEN", tenant_id="acme")
    assert isinstance(tenant, TenantForbiddenError)
    assert tenant.tenant_id == "acme"
    fields = told(grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_FIELDS_CONTRADICT", fields="a,b")
    assert isinstance(fields, InvalidRequestError)
    assert fields.field == "a,b"
    lost = told(
        grpc.StatusCode.FAILED_PRECONDITION, "ERROR_REASON_KEY_UNUSABLE", cause="quarantined"
    )
    assert isinstance(lost, KeyUnusableError)
    assert isinstance(lost, LeaseLostError)
    assert lost.cause == "quarantined"
    bug = told(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL", reference="5f")
    assert isinstance(bug, InternalError)
    assert bug.reference == "5f"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("UNAVAILABLE", BrokerUnavailable),
        ("UNAUTHENTICATED", TokenRejectedError),
        ("PERMISSION_DENIED", ForbiddenError),
        ("NOT_FOUND", NotFoundError),
        ("INVALID_ARGUMENT", InvalidRequestError),
        ("UNIMPLEMENTED", BrokerError),
    ],
)
def test_a_reason_of_a_newer_broker_falls_back_on_the_code(
    code: str, expected: type[BrokerError]
) -> None:
    fault = told(grpc.StatusCode[code], "ERROR_REASON_NOT_YET_INVENTED")
    assert type(fault) is expected
    assert fault.reason == "NOT_YET_INVENTED"


def test_what_others_on_the_way_say_is_no_word_of_the_broker() -> None:
    fault = told(grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING", domain="proxy.test")
    assert fault.reason == ""
    garbage = Told(grpc.StatusCode.INTERNAL, ("grpc-status-details-bin", b"\xff\xff"))
    assert type(fault_of(garbage, ADDRESS)) is InternalError
    bare = fault_of(grpc.RpcError(), ADDRESS)
    assert (type(bare), bare.code) == (BrokerError, "UNKNOWN")


def test_an_unreachable_broker_is_named() -> None:
    fault = fault_of(Told(grpc.StatusCode.UNAVAILABLE), ADDRESS)
    assert str(fault) == "the broker at broker.test:443 does not answer: said"


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = errors.__doc__
    assert drawn is not None
    for name in keybroker.__all__:
        thing = getattr(keybroker, name)
        if isinstance(thing, type) and issubclass(thing, KeybrokerError):
            assert name in drawn


def test_errors_travel_between_processes() -> None:
    """A worker's queue pickles what its job raised."""
    fault = told(grpc.StatusCode.NOT_FOUND, "ERROR_REASON_PROVIDER_UNKNOWN", known_providers="a,b")
    again = pickle.loads(pickle.dumps(fault))  # noqa: S301 - made in this line
    assert isinstance(again, ProviderUnknownError)
    assert (again.known_providers, again.code, str(again)) == (("a", "b"), "NOT_FOUND", "said")
    denial = Denial.read(a_denial("AT_CAPACITY", "RETRY_LATER", 1.0))
    denied = pickle.loads(pickle.dumps(Denied(denial)))  # noqa: S301 - as above
    assert denied.denial == denial
    assert denied.reason is DenialReason.AT_CAPACITY
