"""How an outcome becomes a verdict, whoever the provider is."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.outcome import Outcome
from broker.core.verdict import Verdict
from broker.core.verdicts.classifier import DEFAULT_SCOPE, classify
from broker.core.verdicts.dialect import Dialect, ErrorSites, HeaderHint, Hints, SuccessMark
from broker.core.verdicts.phrase import Wording
from broker.core.verdicts.rule import Rule, ValueTest
from broker.core.words import Evidence, Kind, Phase, QuotaWindow, ScopeKind, TransportError


def code(*words: str) -> tuple[ValueTest, ...]:
    return (ValueTest.of("code", words),)


RULES = (
    Rule("d:bad-key", Kind.INVALID_CREDENTIAL, ScopeKind.KEY, fields=code("bad_key")),
    Rule(
        "d:day",
        Kind.QUOTA_EXHAUSTED,
        ScopeKind.ACCOUNT,
        quota_window=QuotaWindow.DAY,
        fields=code("quota"),
    ),
    Rule("d:quota-error", Kind.QUOTA_EXHAUSTED, ScopeKind.ACCOUNT, fields=code("QuotaError")),
    Rule(
        "d:no-plan",
        Kind.PERMISSION_DENIED,
        ScopeKind.KEY_MODEL,
        statuses=frozenset({429}),
        headers=(ValueTest.of("x-limit", ("0",)),),
    ),
    Rule("d:busy", Kind.OVERLOADED, ScopeKind.UPSTREAM, wording=Wording.of(starts=("Busy",))),
    Rule(
        "d:page",
        Kind.REGION_UNSUPPORTED,
        ScopeKind.REQUEST,
        statuses=frozenset({403}),
        page_marks=("challenge",),
    ),
    Rule(
        "d:closed",
        Kind.PERMISSION_DENIED,
        ScopeKind.KEY,
        statuses=frozenset({1008}),
        wording=Wording.of(starts=("Blocked",)),
    ),
    Rule("d:bad-input", Kind.INVALID_REQUEST, ScopeKind.REQUEST, fields=code("bad_input")),
)
DIALECT = Dialect(
    "d",
    "D",
    "https://d.test",
    errors=ErrorSites(
        fields={"code": (("error", "code"),)},
        message=(("error", "message"),),
        nested=(("error", "message"),),
        success_marks=(SuccessMark(("error",)),),
        status=(("error", "status"),),
        error_name="code",
    ),
    rules=RULES,
    hints=Hints(headers=(HeaderHint("retry-after"),)),
)
STREAM = 'event: error\ndata: {"error": {"code": "bad_key"}}\n\n: unknown parameter'


def judge(
    status: int | None = None,
    body: object = None,
    headers: dict[str, str] | None = None,
    *,
    transport: TransportError | None = None,
    is_cut: bool = False,
    phase: Phase = Phase.COMPLETE,
) -> Verdict:
    if isinstance(body, str):
        data = body.encode()
    else:
        data = b"" if body is None else json.dumps(body).encode()
    outcome = Outcome(
        http_status=status,
        headers=headers or {},
        body=data,
        truncated=is_cut,
        transport_error=transport,
        phase=phase,
    )
    return classify(DIALECT, outcome)


def error(**members: object) -> dict[str, object]:
    return {"error": members}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.OK),
        (204, Kind.OK),
        (302, Kind.UNKNOWN),
        (400, Kind.INVALID_REQUEST),
        (401, Kind.INVALID_CREDENTIAL),
        (402, Kind.QUOTA_EXHAUSTED),
        (403, Kind.PERMISSION_DENIED),
        (404, Kind.INVALID_REQUEST),
        (408, Kind.SERVER_ERROR),
        (413, Kind.INVALID_REQUEST),
        (429, Kind.RATE_LIMITED),
        (451, Kind.REGION_UNSUPPORTED),
        (499, Kind.CANCELLED),
        (500, Kind.SERVER_ERROR),
        (503, Kind.OVERLOADED),
        (524, Kind.SERVER_ERROR),
        (529, Kind.OVERLOADED),
        (999, Kind.UNKNOWN),
        (-1, Kind.UNKNOWN),
        (None, Kind.UNKNOWN),
    ],
)
def test_a_bare_status_is_weak_evidence_at_its_kinds_default_scope(
    status: int | None, kind: Kind
) -> None:
    verdict = judge(status)
    name = "none" if status is None else status
    assert (verdict.kind, verdict.scope) == (kind, DEFAULT_SCOPE[kind])
    assert verdict.rule == f"status:{name}"
    assert verdict.evidence is (Evidence.CERTAIN if kind is Kind.OK else Evidence.WEAK)


def test_every_kind_has_a_default_scope() -> None:
    assert set(DEFAULT_SCOPE) == set(Kind)


def test_the_body_decides_before_the_status() -> None:
    verdict = judge(400, error(code="bad_key"))
    assert verdict == Verdict(
        Kind.INVALID_CREDENTIAL, ScopeKind.KEY, Evidence.CERTAIN, rule="d:bad-key"
    )


def test_a_daily_quota_keeps_its_window_beside_a_short_hint() -> None:
    verdict = judge(429, error(code="quota"), {"retry-after": "31"})
    assert (verdict.kind, verdict.quota_window) == (Kind.QUOTA_EXHAUSTED, QuotaWindow.DAY)
    assert verdict.retry_hint_s == 31.0


def test_a_hint_counts_only_where_waiting_heals() -> None:
    assert judge(429, None, {"retry-after": "7"}).retry_hint_s == 7.0
    assert judge(503, error(message="Busy"), {"retry-after": "7"}).retry_hint_s == 7.0
    assert judge(400, None, {"retry-after": "7"}).retry_hint_s is None
    assert judge(400, error(code="bad_input"), {"retry-after": "7"}).retry_hint_s is None


def test_a_header_can_tell_what_the_body_does_not() -> None:
    assert judge(429, error(), {"x-limit": " 0 "}).rule == "d:no-plan"
    assert judge(429, error(), {"x-limit": "5"}).rule == "status:429"
    assert judge(429).rule == "status:429"


def test_a_page_is_recognised_by_its_marks() -> None:
    assert judge(403, "<html><p>Challenge</p>").rule == "d:page"
    assert judge(403, "<html><p>Forbidden</p>").rule == "status:403"
    assert judge(403, error(message="challenge")).rule == "status:403"


def test_an_error_wrapped_by_a_proxy_is_judged_by_what_is_inside() -> None:
    wrapped = error(message=json.dumps(error(code="quota")), code="bad_input")
    assert judge(400, wrapped).rule == "d:day"


@pytest.mark.parametrize("error_kind", [e for e in TransportError if "CALLER" not in e])
@pytest.mark.parametrize("status", [None, 200])
def test_an_answer_that_did_not_arrive_whole_is_unreachable(
    error_kind: TransportError, status: int | None
) -> None:
    verdict = judge(status, transport=error_kind, phase=Phase.MID_STREAM)
    assert (verdict.kind, verdict.scope) == (Kind.UNREACHABLE, ScopeKind.UPSTREAM)
    assert verdict.rule == f"transport:{error_kind}"


@pytest.mark.parametrize("ours", [TransportError.CALLER_DEADLINE, TransportError.CALLER_CANCELLED])
def test_what_the_caller_ended_is_cancelled_whatever_had_arrived(ours: TransportError) -> None:
    verdict = judge(401, error(code="bad_key"), transport=ours)
    assert (verdict.kind, verdict.scope) == (Kind.CANCELLED, ScopeKind.REQUEST)


def test_a_refusal_stands_although_its_body_broke_off() -> None:
    assert judge(429, transport=TransportError.RESET).kind is Kind.RATE_LIMITED
    assert judge(429, error(code="quota"), transport=TransportError.RESET).rule == "d:day"


def test_words_without_an_answer_are_the_clients_own() -> None:
    assert judge(None, "Busy", transport=TransportError.TIMEOUT).kind is Kind.UNREACHABLE
    assert judge(None, "Busy").rule == "status:none"
    assert judge(None, error(message="Busy"), transport=TransportError.OTHER).rule == "d:busy"


@pytest.mark.parametrize("content_type", ["", "application/json", "text/event-stream; charset=x"])
def test_an_error_inside_a_success_is_an_error(content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    body = f"data: {{}}\n\ndata: {json.dumps(error(code='quota'))}\n\n"
    assert judge(200, body, headers).rule == "d:day"


def test_a_stream_that_carries_a_models_words_as_they_are_is_not_believed() -> None:
    dialect = replace(DIALECT, errors=replace(DIALECT.errors, raw_streams=True))
    said = json.dumps(error(code="quota")).encode()
    assert classify(dialect, Outcome(200, {}, b"data: " + said)).kind is Kind.OK
    assert classify(dialect, Outcome(200, {}, said)).rule == "d:day"


def test_an_unknown_error_inside_a_success_is_unknown() -> None:
    verdict = judge(200, error(code="new"))
    assert (verdict.kind, verdict.scope) == (Kind.UNKNOWN, ScopeKind.REQUEST)
    assert verdict.evidence is Evidence.WEAK


def test_an_error_inside_a_success_is_judged_by_the_status_that_it_names() -> None:
    verdict = judge(200, error(code="new", status=429), {"retry-after": "7"})
    assert (verdict.kind, verdict.rule) == (Kind.RATE_LIMITED, "status:429")
    assert (verdict.evidence, verdict.retry_hint_s) == (Evidence.WEAK, 7.0)
    assert judge(200, error(code="quota", status=503)).rule == "d:day"


def test_a_closed_websocket_is_judged_by_its_code_and_reason() -> None:
    closed = "received 1008 (policy violation) Blocked until further notice"
    assert judge(None, closed, transport=TransportError.RESET).rule == "d:closed"
    assert judge(None, closed.replace("1008", "1011")).rule == "status:none"


@pytest.mark.parametrize("status", [401, 429])
def test_the_name_that_a_client_printed_counts_where_no_caller_can_have_written_it(
    status: int,
) -> None:
    assert judge(status, "openai.BadThing: x").rule == f"status:{status}"
    assert judge(status, "bad_keyError: Invalid").rule == f"status:{status}"
    assert judge(status, "QuotaError: Invalid").rule == "d:quota-error"
    assert judge(400, "QuotaError: Invalid").rule == "status:400"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"error": None, "output": []}, {}),
        ({"choices": [{"text": json.dumps(error(code="quota"))}]}, {}),
        (f"The caller said: {json.dumps(error(code='quota'))}", {}),
        (json.dumps(error(code="quota")), {"content-type": "text/plain"}),
        ('<html>"error"', {}),
    ],
)
def test_a_success_that_talks_about_errors_is_a_success(
    body: object, headers: dict[str, str]
) -> None:
    assert judge(200, body, headers).kind is Kind.OK


def test_broken_json_is_weak_evidence_and_stays_with_the_model() -> None:
    broken = '{"error": {"code": "bad_key", "message": "tool "x" failed"}}'
    verdict = judge(401, broken)
    assert (verdict.rule, verdict.evidence) == ("d:bad-key", Evidence.WEAK)
    assert verdict.scope is ScopeKind.KEY_MODEL
    assert judge(400, broken.replace("bad_key", "bad_input")).scope is ScopeKind.REQUEST


@pytest.mark.parametrize("body", ['{"error": {"code": "bad_key"}}: unknown parameter', STREAM])
def test_what_may_begin_with_a_callers_words_reaches_no_further_than_the_request(
    body: str,
) -> None:
    assert judge(400, body).rule == "status:400"
    assert judge(400, body.replace("bad_key", "bad_input")).rule == "d:bad-input"
    assert judge(401, body).rule == judge(None, body).rule == "d:bad-key"


def test_a_cut_body_is_read_as_far_as_it_goes() -> None:
    cut = '{"error": {"code": "bad_key", "message": "The key'
    assert judge(401, cut, is_cut=True).evidence is Evidence.CERTAIN
    assert judge(401, cut[:24], is_cut=True).rule == "status:401"


ERRORS = st.fixed_dictionaries(
    {}, optional={"error": st.dictionaries(st.sampled_from(["code", "message"]), st.text())}
)


@given(
    status=st.none() | st.integers(),
    body=st.binary() | ERRORS.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(st.sampled_from(["retry-after", "content-type", "date"]), st.text()),
    transport=st.none() | st.sampled_from(TransportError),
    phase=st.sampled_from(Phase),
)
def test_no_outcome_breaks_it(
    status: int | None,
    body: bytes,
    headers: dict[str, str],
    transport: TransportError | None,
    phase: Phase,
) -> None:
    outcome = Outcome(status, headers, body, transport_error=transport, phase=phase)
    assert isinstance(classify(DIALECT, outcome), Verdict)
