"""No text under a caller's control opens a circuit that others share."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.catalog import load_catalog
from broker.catalog.loader import catalog_texts, parse_files
from broker.core.outcome import Outcome
from broker.core.verdicts.classifier import classify
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Evidence, Kind, ScopeKind

CATALOG = load_catalog()
FILES, _ = parse_files(catalog_texts())
TEMPLATES = sorted(
    {
        text.replace("{}", "x")
        for file in FILES.values()
        for rule in file.rules
        for text in (*rule.starts, *rule.whole)
    }
)
BODIES = sorted(
    {example.body for file in FILES.values() for rule in file.rules for example in rule.examples}
)
ECHO = st.sampled_from([*TEMPLATES, *BODIES]) | st.text(max_size=80)
"""What a caller writes: the providers' own phrases, whole error bodies, anything."""

MESSAGES = st.sampled_from(
    [
        "{}: Extra inputs are not permitted",
        "{} is not a valid parameter",
        "Unknown parameter: '{}'",
        "Invalid value: '{}'. Supported values are: 'auto'.",
        "tools.0.custom.name: String should match pattern, got {}",
        'Tool "{}" was not found',
        "Failed to parse arguments: {}",
        "messages.0.content: unexpected `{}`",
    ]
)
TYPES = ("invalid_request_error", "BadRequestError", "INVALID_ARGUMENT", "validation_error")
FAULTLESS = frozenset(
    {Kind.INVALID_REQUEST, Kind.CONTENT_POLICY, Kind.REGION_UNSUPPORTED, Kind.UNKNOWN, Kind.OK}
)


def bodies(message: str, echo: str) -> list[object]:
    kind = TYPES[len(echo) % len(TYPES)]
    inner = {"message": message, "type": kind, "status": kind, "param": echo, "code": None}
    return [
        {"error": inner},
        {"type": "error", "error": inner},
        {"object": "error", **inner},
        {"detail": [{"loc": ["body", echo], "msg": message, "input": echo}]},
        {"error": {**inner, "failed_generation": echo, "metadata": {"flagged_input": echo}}},
        {"error": {**inner, "details": [{"fieldViolations": [{"description": message}]}]}},
        [{"error": inner}],
    ]


@pytest.mark.parametrize("dialect", CATALOG.values(), ids=CATALOG)
@given(echo=ECHO, message=MESSAGES, status=st.sampled_from([400, 409, 413, 422]))
def test_an_echo_in_a_callers_error_stays_with_the_request(
    dialect: Dialect, echo: str, message: str, status: int
) -> None:
    said = message.replace("{}", echo)
    for body in bodies(said, echo):
        verdict = classify(dialect, Outcome(status, {}, json.dumps(body).encode()))
        assert verdict.kind in FAULTLESS, (verdict, body)
    words = classify(dialect, Outcome(status, {}, f"Invalid request: {said}".encode()))
    assert words.kind in FAULTLESS


@pytest.mark.parametrize("dialect", CATALOG.values(), ids=CATALOG)
@given(model=ECHO)
def test_a_models_name_reaches_no_further_than_that_model(dialect: Dialect, model: str) -> None:
    for message in (
        f"The model `{model}` does not exist or you do not have access to it.",
        f"model: {model}",
        f"models/{model} is not found for API version v1beta",
        f"Invalid model: {model}",
    ):
        body = {"error": {"message": message, "type": "not_found_error", "status": "NOT_FOUND"}}
        verdict = classify(dialect, Outcome(404, {}, json.dumps(body).encode()))
        assert verdict.kind in {Kind.MODEL_NOT_FOUND, Kind.INVALID_REQUEST}
        assert verdict.scope in {ScopeKind.KEY_MODEL, ScopeKind.REQUEST}


@pytest.mark.parametrize("dialect", CATALOG.values(), ids=CATALOG)
@given(said=ECHO, chunk=ECHO)
def test_what_a_model_says_is_no_error_of_its_provider(
    dialect: Dialect, said: str, chunk: str
) -> None:
    answer = {"choices": [{"message": {"content": said}}], "error": None, "content": [chunk]}
    stream = f"data: {json.dumps(answer)}\n\ndata: {json.dumps({'delta': chunk})}\n\n"
    for body in (json.dumps(answer), stream):
        assert classify(dialect, Outcome(200, {}, body.encode())).kind is Kind.OK
    transcript = Outcome(200, {"content-type": "text/plain"}, said.encode())
    assert classify(dialect, transcript).kind is Kind.OK


@pytest.mark.parametrize("dialect", CATALOG.values(), ids=CATALOG)
@given(echo=ECHO)
def test_a_provider_that_escapes_nothing_is_never_believed_about_a_key(
    dialect: Dialect, echo: str
) -> None:
    poison = f'x", "code": "invalid_api_key", "type": "insufficient_quota", "y": "{echo}" z'
    body = f'{{"error": {{"message": "Tool "{poison}" failed", "type": "bad"}}}}'
    verdict = classify(dialect, Outcome(400, {}, body.encode()))
    assert verdict.evidence is Evidence.WEAK
    assert verdict.scope in {ScopeKind.KEY_MODEL, ScopeKind.REQUEST}
