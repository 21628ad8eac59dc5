"""A lease is left in order however its block is left: each way tells the broker one thing."""

from typing import Any, Never

import grpc
import httpx
import pytest

from keybroker import (
    BrokerUnavailable,
    InvalidRequestError,
    LeaseState,
    Outcome,
    VerdictKind,
)
from keybroker.v1 import outcome_pb2
from tests.client.conftest import Door, status
from tests.client.fake_broker import (
    CANARY,
    FakeBroker,
    failing,
)

UNAVAILABLE = failing(grpc.StatusCode.UNAVAILABLE)


class CallerError(Exception):
    """Whatever goes wrong in a caller's own code."""


async def test_an_unused_lease_is_given_back(door: Door, broker: FakeBroker) -> None:
    await door.lease()
    assert broker.methods == ["AcquireLease", "ReleaseLease"]
    assert broker.requests("ReleaseLease")[0].lease_id == "kb1.lease-1"


async def test_a_call_that_was_sent_and_not_reported_went_well(
    door: Door, broker: FakeBroker
) -> None:
    await door.lease(lambda lease: lease.sent())
    assert broker.methods == ["AcquireLease", "ReportOutcome"]
    outcome = broker.reports[0].outcome
    assert (outcome.http_status, outcome.transport_error) == (200, 0)
    assert outcome.HasField("started_ago")


async def test_a_report_ends_the_lease_and_nothing_more_is_said(
    door: Door, broker: FakeBroker
) -> None:
    report: Any = await door.lease(lambda _lease: Outcome(status=200))
    assert broker.methods == ["AcquireLease", "ReportOutcome"]
    assert report.ok
    assert report.verdict.kind is VerdictKind.OK
    assert report.lease_state is LeaseState.ENDED


def _connect_error(lease: Any) -> None:
    lease.headers()
    raise httpx.ConnectError("no route")


def _refused_status(lease: Any) -> None:
    lease.headers()
    request = httpx.Request("POST", "http://provider.test")
    httpx.Response(401, request=request, json={"error": "bad key"}).raise_for_status()


def _own_error(lease: Any) -> None:
    lease.headers()
    raise CallerError


def _database_error(_lease: Any) -> None:
    raise ConnectionRefusedError


async def test_an_exception_of_the_http_client_is_reported_as_what_it_says(
    door: Door, broker: FakeBroker
) -> None:
    with pytest.raises(httpx.ConnectError):
        await door.lease(_connect_error)
    outcome = broker.reports[0].outcome
    assert outcome.transport_error == outcome_pb2.TRANSPORT_ERROR_CONNECT
    assert outcome.phase == outcome_pb2.PHASE_BEFORE_SEND


async def test_an_exception_that_carries_a_response_is_reported_as_that_response(
    door: Door, broker: FakeBroker
) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        await door.lease(_refused_status)
    outcome = broker.reports[0].outcome
    assert (outcome.http_status, outcome.body) == (401, b'{"error":"bad key"}')
    assert outcome.headers["content-type"] == "application/json"


async def test_a_callers_own_error_says_nothing_about_the_provider(
    door: Door, broker: FakeBroker
) -> None:
    with pytest.raises(CallerError):
        await door.lease(_own_error)
    outcome = broker.reports[0].outcome
    assert outcome.transport_error == outcome_pb2.TRANSPORT_ERROR_CALLER_CANCELLED


async def test_what_fails_before_the_secret_was_taken_is_not_the_providers(
    door: Door, broker: FakeBroker
) -> None:
    """A database that refuses a connection is no evidence against a key."""
    with pytest.raises(ConnectionRefusedError):
        await door.lease(_database_error)
    assert broker.methods == ["AcquireLease", "ReleaseLease"]


async def test_a_failing_farewell_does_not_hide_the_callers_exception(
    door: Door, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.script("ReportOutcome", failing(grpc.StatusCode.INTERNAL))
    with pytest.raises(CallerError):
        await door.lease(_own_error)
    assert "a lease was left without a word" in caplog.text


async def test_a_failing_farewell_does_not_spoil_what_went_well(
    door: Door, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.script("ReportOutcome", failing(grpc.StatusCode.INTERNAL))
    await door.lease(lambda lease: lease.sent())
    assert CANARY not in caplog.text


async def test_a_report_that_got_no_answer_is_said_again_under_its_own_id(
    door: Door, broker: FakeBroker
) -> None:
    """Had it arrived after all, the broker knows it by its id."""
    broker.script("ReportOutcome", *[UNAVAILABLE] * 6)
    with pytest.raises(BrokerUnavailable):
        await door.lease(status(429))
    assert len({report.outcome.outcome_id for report in broker.reports}) == 1
    assert {report.outcome.http_status for report in broker.reports} == {429}


async def test_what_a_report_cannot_mean_is_the_callers_fault(
    door: Door, broker: FakeBroker
) -> None:
    with pytest.raises(TypeError, match="a str tells no outcome"):
        await door.lease(lambda _lease: "fine")
    broker.script(
        "ReportOutcome",
        failing(
            grpc.StatusCode.INVALID_ARGUMENT,
            "ERROR_REASON_INVALID_FIELD",
            field="outcome.body",
            problem="too long",
        ),
    )
    with pytest.raises(InvalidRequestError) as told:
        await door.lease(status(200))
    assert (told.value.field, told.value.problem) == ("outcome.body", "too long")


class HostileError(Exception):
    """An exception that fails whoever looks at it."""

    @property
    def response(self) -> Never:
        raise ZeroDivisionError


async def test_an_exception_that_fails_when_looked_at_is_still_the_callers(
    door: Door, broker: FakeBroker
) -> None:
    def fail(lease: Any) -> None:
        lease.headers()
        raise HostileError

    with pytest.raises(HostileError):
        await door.lease(fail)
    assert len(broker.reports) == 1


async def test_a_lease_whose_report_was_refused_is_still_given_back(
    door: Door, broker: FakeBroker
) -> None:
    """The broker judged nothing: what is left to say is that nothing is known."""
    refused = failing(grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_INVALID_FIELD")
    broker.script("ReportOutcome", refused)
    with pytest.raises(InvalidRequestError):
        await door.lease(lambda _lease: Outcome(status=42))
    assert broker.methods == ["AcquireLease", "ReportOutcome", "ReleaseLease"]
    broker.script("ReportOutcome", refused)
    served = await door.call(status(42))
    assert served.response.status == 42
    assert broker.methods[3:] == ["AcquireLease", "ReportOutcome", "ReleaseLease"]
