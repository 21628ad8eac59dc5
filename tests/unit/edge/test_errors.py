"""The error table: every fault has a code, a reason that the proto knows, and leaks nothing."""

import inspect

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from structlog.testing import capture_logs

from broker.edge.grpc import errors as edge_errors
from broker.edge.grpc.errors import STATUS_CODES, Fault, fault_of
from broker.ports.errors import StoreUnavailableError
from broker.services import errors as service_errors
from broker.services.errors import InvalidFieldError, ProviderUnknownError, ServiceError
from keybroker.v1 import errors_pb2

METHOD = "/keybroker.v1.LeaseService/AcquireLease"


def test_every_reason_of_the_proto_has_a_code_and_the_other_way_round() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert STATUS_CODES.keys() == named - {"UNSPECIFIED"}


def test_every_code_is_the_one_that_the_proto_documents() -> None:
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values:
        decade = value.number // 10
        reason = value.name.removeprefix("ERROR_REASON_")
        if decade == 1:
            assert STATUS_CODES[reason] is grpc.StatusCode.INVALID_ARGUMENT
        if decade == 2:
            assert STATUS_CODES[reason] is grpc.StatusCode.NOT_FOUND
        if decade == 3:
            assert STATUS_CODES[reason] is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("module", [service_errors, edge_errors])
def test_every_error_of_a_service_is_in_the_table(module: object) -> None:
    for _, error in inspect.getmembers(module, inspect.isclass):
        if issubclass(error, ServiceError):
            assert error.reason in STATUS_CODES


def test_a_fault_carries_what_a_program_needs() -> None:
    fault = fault_of(ProviderUnknownError("opnai", ["openai", "groq"]), METHOD)
    status = Status.FromString(fault.status())
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert fault.code is grpc.StatusCode.NOT_FOUND
    assert status.code == 5
    assert info.domain == "keybroker"
    assert errors_pb2.ErrorReason.Value(info.reason) == errors_pb2.ERROR_REASON_PROVIDER_UNKNOWN
    assert info.metadata == {"provider": "opnai", "known_providers": "groq,openai"}


def test_a_bad_field_is_also_a_bad_request() -> None:
    status = Status.FromString(fault_of(InvalidFieldError("ttl", "is zero"), METHOD).status())
    request = BadRequest()
    assert status.details[1].Unpack(request)
    assert request.field_violations[0].field == "ttl"
    assert request.field_violations[0].description == "is zero"


def test_an_unforeseen_error_is_told_as_a_reference_to_the_log() -> None:
    with capture_logs() as logs:
        fault = fault_of(ValueError("the secret is sk-live"), METHOD)
    assert fault.code is grpc.StatusCode.INTERNAL
    assert "sk-live" not in str(fault.status())
    reference = fault.metadata["reference"]
    assert reference in fault.message
    assert logs[0]["reference"] == reference
    assert logs[0]["method"] == METHOD
    assert isinstance(logs[0]["exc_info"], ValueError)


def test_a_store_that_is_away_is_unavailable_and_says_when_to_retry() -> None:
    fault = fault_of(StoreUnavailableError("connection to 10.0.0.1 refused"), METHOD)
    assert fault.code is grpc.StatusCode.UNAVAILABLE
    assert "10.0.0.1" not in fault.message
    retry = RetryInfo()
    assert Status.FromString(fault.status()).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 1


def test_a_request_that_cannot_be_parsed_is_the_callers_fault() -> None:
    assert fault_of(DecodeError("x"), METHOD).code is grpc.StatusCode.INVALID_ARGUMENT


def test_long_texts_fit_into_headers() -> None:
    fault = fault_of(ProviderUnknownError("x" * 256, ["y" * 60] * 200), METHOD)
    assert len(fault.status()) < 4096
    assert len(fault.message) <= 1024


def test_a_fault_knows_its_code_as_a_number() -> None:
    assert Fault(grpc.StatusCode.FAILED_PRECONDITION, "").number == 9
