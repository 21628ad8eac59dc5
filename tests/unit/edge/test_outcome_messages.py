"""Outcomes as callers send them, good and bad; verdicts and advice as they are answered."""

import pytest
from google.protobuf.duration_pb2 import Duration

from broker.core.advice import Advice
from broker.core.outcome import MAX_BODY_BYTES, Usage
from broker.core.verdict import Verdict
from broker.core.words import (
    AdviceAction,
    Evidence,
    Kind,
    Phase,
    QuotaWindow,
    ScopeKind,
    TransportError,
)
from broker.edge.grpc.outcome_messages import read_outcome, write_advice, write_verdict
from broker.services.errors import InvalidFieldError
from keybroker.v1 import outcome_pb2, scope_pb2, verdict_pb2


def test_a_whole_outcome_is_read() -> None:
    outcome = read_outcome(
        outcome_pb2.Outcome(
            outcome_id="o1",
            request_id="r1",
            started_ago=Duration(seconds=2, nanos=500_000_000),
            http_status=200,
            headers={"X-Request-Id": "abc"},
            body=b"\xff\x00{",
            truncated=True,
            transport_error=outcome_pb2.TRANSPORT_ERROR_RESET,
            phase=outcome_pb2.PHASE_MID_STREAM,
            interim=True,
            usage=outcome_pb2.Usage(input_tokens=3, output_tokens=4),
            timings=outcome_pb2.Timings(total=Duration(seconds=1)),
        )
    )
    assert outcome.outcome_id == "o1"
    assert outcome.request_id == "r1"
    assert outcome.started_ago_s == 2.5
    assert outcome.http_status == 200
    assert outcome.headers == {"x-request-id": "abc"}
    assert outcome.body == b"\xff\x00{"
    assert outcome.truncated
    assert outcome.transport_error is TransportError.RESET
    assert outcome.phase is Phase.MID_STREAM
    assert outcome.interim
    assert outcome.usage == Usage(3, 4)


def test_what_is_left_out_has_the_meaning_that_the_proto_says() -> None:
    outcome = read_outcome(
        outcome_pb2.Outcome(outcome_id="o1", transport_error=outcome_pb2.TRANSPORT_ERROR_CONNECT)
    )
    assert outcome.http_status is None
    assert outcome.phase is Phase.COMPLETE
    assert outcome.started_ago_s is None
    assert outcome.usage == Usage()


def test_a_body_of_16_kib_is_the_longest() -> None:
    message = outcome_pb2.Outcome(outcome_id="o1", http_status=500, body=b"x" * MAX_BODY_BYTES)
    assert len(read_outcome(message).body) == MAX_BODY_BYTES
    message.body += b"x"
    with pytest.raises(InvalidFieldError) as caught:
        read_outcome(message)
    assert caught.value.metadata == {
        "field": "outcome.body",
        "problem": "16385 bytes, at most 16384: cut it and set truncated",
    }


GOOD = outcome_pb2.Outcome(outcome_id="o1", http_status=200)
BAD = {
    "no id": ("outcome.outcome_id", "outcome_id", ""),
    "NUL in the id": ("outcome.outcome_id", "outcome_id", "o\0"),
    "long request": ("outcome.request_id", "request_id", "r" * 257),
    "neither status nor error": ("outcome", "http_status", 0),
    "status below 100": ("outcome.http_status", "http_status", 99),
    "negative status": ("outcome.http_status", "http_status", -200),
    "status above 999": ("outcome.http_status", "http_status", 1000),
    "error without a name": ("outcome.transport_error", "transport_error", 99),
    "phase without a name": ("outcome.phase", "phase", 99),
}


@pytest.mark.parametrize(("path", "field", "value"), BAD.values(), ids=BAD)
def test_a_bad_field_is_named(path: str, field: str, value: object) -> None:
    message = outcome_pb2.Outcome()
    message.CopyFrom(GOOD)
    setattr(message, field, value)
    with pytest.raises(InvalidFieldError) as caught:
        read_outcome(message)
    assert caught.value.metadata["field"] == path


NEGATIVE = {
    "outcome.started_ago": outcome_pb2.Outcome(started_ago=Duration(seconds=-1)),
    "outcome.usage.input_tokens": outcome_pb2.Outcome(usage=outcome_pb2.Usage(input_tokens=-1)),
    "outcome.usage.output_tokens": outcome_pb2.Outcome(usage=outcome_pb2.Usage(output_tokens=-1)),
    "outcome.timings.time_to_first_byte": outcome_pb2.Outcome(
        timings=outcome_pb2.Timings(time_to_first_byte=Duration(nanos=-1))
    ),
    "outcome.timings.total": outcome_pb2.Outcome(
        timings=outcome_pb2.Timings(total=Duration(seconds=-1))
    ),
}


@pytest.mark.parametrize(("path", "part"), NEGATIVE.items(), ids=NEGATIVE)
def test_nothing_is_negative(path: str, part: outcome_pb2.Outcome) -> None:
    message = outcome_pb2.Outcome()
    message.CopyFrom(GOOD)
    message.MergeFrom(part)
    with pytest.raises(InvalidFieldError, match=path):
        read_outcome(message)


def test_a_dry_run_needs_no_id() -> None:
    assert read_outcome(outcome_pb2.Outcome(http_status=200), needs_id=False).outcome_id == ""


def test_a_verdict_is_written_whole() -> None:
    verdict = Verdict(
        Kind.QUOTA_EXHAUSTED,
        ScopeKind.ACCOUNT,
        Evidence.CERTAIN,
        "openai:quota",
        retry_hint_s=1.5,
        quota_window=QuotaWindow.MONTH,
    )
    assert write_verdict(verdict) == verdict_pb2.Verdict(
        kind=verdict_pb2.VERDICT_KIND_QUOTA_EXHAUSTED,
        scope=scope_pb2.SCOPE_KIND_ACCOUNT,
        evidence=verdict_pb2.EVIDENCE_CERTAIN,
        retry_hint=Duration(seconds=1, nanos=500_000_000),
        quota_window=verdict_pb2.QUOTA_WINDOW_MONTH,
        rule="openai:quota",
    )


def test_a_hint_of_zero_is_told_and_none_is_unset() -> None:
    verdict = Verdict(Kind.RATE_LIMITED, ScopeKind.KEY, Evidence.WEAK, "status:429", 0.0)
    assert write_verdict(verdict).HasField("retry_hint")
    assert not write_verdict(
        Verdict(Kind.OK, ScopeKind.REQUEST, Evidence.WEAK, "status:200")
    ).HasField("retry_hint")


def test_advice_without_a_delay_leaves_it_unset() -> None:
    assert not write_advice(Advice(AdviceAction.STOP)).HasField("delay")
    waiting = write_advice(Advice(AdviceAction.RETRY_SAME_KEY, 0.25))
    assert waiting.action == verdict_pb2.ADVICE_ACTION_RETRY_SAME_KEY
    assert waiting.delay.ToMilliseconds() == 250
