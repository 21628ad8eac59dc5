"""The error table: every fault has a code, a reason that the proto knows, and leaks nothing."""

import inspect
import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from structlog.testing import capture_logs

from broker.edge.grpc import errors as edge_errors
from broker.edge.grpc.errors import STATUS_CODES, Fault, fault_of
from broker.ports.errors import SealClosedError, StoreUnavailableError
from broker.services import errors as service_errors
from broker.services.errors import (
    ChangeUncertainError,
    InvalidFieldError,
    ProviderUnknownError,
    ServiceError,
)
from keybroker.v1 import errors_pb2

PROTO = Path(__file__).parents[3] / "protos/keybroker/v1/errors.proto"
METHOD = "/keybroker.v1.LeaseService/AcquireLease"


def test_every_reason_of_the_proto_has_a_code_and_the_other_way_round() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert STATUS_CODES.keys() == named - {"UNSPECIFIED"}


def test_every_code_is_the_one_that_the_proto_documents() -> None:
    entries = re.split(r"ERROR_REASON_(\w+) = \d+;", PROTO.read_text())
    documented = dict(zip(entries[1::2], entries[:-1:2], strict=True))
    for reason, code in STATUS_CODES.items():
        assert f"  // {code.name}: " in documented[reason]


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
    fault = fault_of(StoreUnavailableError("the disk is full"), METHOD)
    assert fault.code is grpc.StatusCode.UNAVAILABLE
    assert fault.reason == "STORE_UNAVAILABLE"
    assert fault.metadata == {"cause": "the disk is full"}
    retry = RetryInfo()
    assert Status.FromString(fault.status()).details[1].Unpack(retry)
    assert retry.retry_delay.seconds == 1


def test_a_missing_sealing_key_is_a_fault_that_says_what_to_do() -> None:
    fault = fault_of(SealClosedError("seal.key is missing: put it back"), METHOD)
    assert (fault.code, fault.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SEALED")
    assert fault.metadata == {"cause": "seal.key is missing: put it back"}


def test_a_change_that_may_have_been_made_says_so_to_programs() -> None:
    fault = fault_of(ChangeUncertainError("the key was created", "the disk is full"), METHOD)
    assert (fault.code, fault.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert fault.metadata == {"cause": "the disk is full", "is_changed": "unknown"}


def test_a_request_that_cannot_be_parsed_is_the_callers_fault() -> None:
    assert fault_of(DecodeError("x"), METHOD).code is grpc.StatusCode.INVALID_ARGUMENT


def test_long_texts_fit_into_headers() -> None:
    fault = fault_of(ProviderUnknownError("x" * 256, ["y" * 60] * 200), METHOD)
    assert len(fault.status()) < 4096
    assert len(fault.message) <= 1024


def test_a_fault_knows_its_code_as_a_number() -> None:
    assert Fault(grpc.StatusCode.FAILED_PRECONDITION, "").number == 9
