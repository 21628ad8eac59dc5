"""Outcomes, verdicts and advice between protobuf and the core."""

from broker.core.advice import Advice
from broker.core.outcome import MAX_BODY_BYTES, Outcome, Usage
from broker.core.verdict import Verdict
from broker.core.words import Phase, TransportError
from broker.edge.grpc.fields import (
    check_count,
    check_headers,
    check_name,
    require_name,
    seconds,
)
from broker.edge.grpc.times import duration
from broker.edge.grpc.words import (
    ADVICE_ACTIONS,
    EVIDENCES,
    KINDS,
    PHASES,
    QUOTA_WINDOWS,
    SCOPE_KINDS,
    TRANSPORT_ERRORS,
)
from broker.services.errors import InvalidFieldError
from keybroker.v1 import outcome_pb2, verdict_pb2

_PHASES: dict[int, Phase] = {number: phase for phase, number in PHASES.items()}
_PHASES[outcome_pb2.PHASE_UNSPECIFIED] = Phase.COMPLETE
_TRANSPORT_ERRORS: dict[int, TransportError | None] = {
    number: error for error, number in TRANSPORT_ERRORS.items()
}
_TRANSPORT_ERRORS[outcome_pb2.TRANSPORT_ERROR_UNSPECIFIED] = None
_NO_USAGE = Usage()
_NO_WINDOW = verdict_pb2.QUOTA_WINDOW_UNSPECIFIED


def read_outcome(message: outcome_pb2.Outcome, *, needs_id: bool = True) -> Outcome:
    """The outcome in a request; raises InvalidFieldError. A dry run needs no id."""
    check_id = require_name if needs_id else check_name
    outcome_id = check_id("outcome.outcome_id", message.outcome_id)
    body = message.body
    if len(body) > MAX_BODY_BYTES:
        raise InvalidFieldError(
            "outcome.body",
            f"{len(body)} bytes, at most {MAX_BODY_BYTES}: cut it and set truncated",
        )
    transport_error = _transport_error(message)
    status = _http_status(message, transport_error)
    if message.HasField("timings"):
        _check_timings(message.timings)
    return Outcome(
        http_status=status,
        headers=check_headers("outcome.headers", message.headers),
        body=body,
        truncated=message.truncated,
        transport_error=transport_error,
        phase=_phase(message),
        outcome_id=outcome_id,
        request_id=check_name("outcome.request_id", message.request_id),
        started_ago_s=seconds("outcome.started_ago", message.started_ago)
        if message.HasField("started_ago")
        else None,
        interim=message.interim,
        usage=_usage(message.usage) if message.HasField("usage") else _NO_USAGE,
    )


def write_verdict(verdict: Verdict) -> verdict_pb2.Verdict:
    """The message of a verdict."""
    hint, window = verdict.retry_hint_s, verdict.quota_window
    return verdict_pb2.Verdict(
        kind=KINDS[verdict.kind],
        scope=SCOPE_KINDS[verdict.scope],
        evidence=EVIDENCES[verdict.evidence],
        retry_hint=None if hint is None else duration(hint),
        quota_window=_NO_WINDOW if window is None else QUOTA_WINDOWS[window],
        rule=verdict.rule,
        missing_auth=verdict.missing_auth,
    )


def write_advice(advice: Advice) -> verdict_pb2.Advice:
    """The message of an advice."""
    return verdict_pb2.Advice(
        action=ADVICE_ACTIONS[advice.action],
        delay=duration(advice.delay_s) if advice.delay_s else None,
    )


def _http_status(
    message: outcome_pb2.Outcome, transport_error: TransportError | None
) -> int | None:
    status = message.http_status
    if status:
        if not 100 <= status <= 999:
            raise InvalidFieldError("outcome.http_status", "is not an HTTP status: 100 to 999")
        return status
    if transport_error is None:
        raise InvalidFieldError("outcome", "needs http_status or transport_error, or both")
    return None


def _transport_error(message: outcome_pb2.Outcome) -> TransportError | None:
    try:
        return _TRANSPORT_ERRORS[message.transport_error]
    except KeyError:
        problem = "is a number without a name here: use TRANSPORT_ERROR_OTHER"
        raise InvalidFieldError("outcome.transport_error", problem) from None


def _phase(message: outcome_pb2.Outcome) -> Phase:
    try:
        return _PHASES[message.phase]
    except KeyError:
        problem = "is a number without a name here: use one of Phase"
        raise InvalidFieldError("outcome.phase", problem) from None


def _usage(message: outcome_pb2.Usage) -> Usage:
    return Usage(
        check_count("outcome.usage.input_tokens", message.input_tokens),
        check_count("outcome.usage.output_tokens", message.output_tokens),
    )


def _check_timings(message: outcome_pb2.Timings) -> None:
    seconds("outcome.timings.time_to_first_byte", message.time_to_first_byte)
    seconds("outcome.timings.total", message.total)
