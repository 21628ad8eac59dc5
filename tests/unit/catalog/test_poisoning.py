"""No text under a caller's control opens a circuit that others share."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.catalog import load_catalog
from broker.catalog.loader import catalog_texts, parse_files
from broker.core.outcome import Outcome
from broker.core.verdicts.classifier import classify
from broker.core.words import Evidence, Kind, ScopeKind

CATALOG = load_catalog()
FILES, _ = parse_files(catalog_texts())
TEMPLATES = sorted(
    {
        text.replace("{}", "x").replace("{word}", "x")
        for file in FILES.values()
        for rule in file.rules
        for text in (*rule.starts, *rule.whole)
    }
)
BODIES = sorted(
    {example.body for file in FILES.values() for rule in file.rules for example in rule.examples}
)
CODES = sorted(
    {
        pattern.strip("*")
        for file in FILES.values()
        for rule in file.rules
        for patterns in (*rule.fields.values(), *rule.headers.values())
        for pattern in patterns
    }
)
SOURCES = st.sampled_from([*TEMPLATES, *BODIES, *CODES])
QUOTED = st.sampled_from(
    ["{}", "'{}'", '"{}"', "`{}`", '\\"{}\\"', "{}: ", "\n{}", '"}}, {}', "[{}"]
)
ECHO = st.builds(lambda form, text: form.replace("{}", text), QUOTED, SOURCES) | st.text(
    max_size=80
)
"""What a caller writes: the providers' own phrases, codes and whole error bodies, in quotes or
after quotes that close something, or anything."""

MESSAGES = st.sampled_from(
    [
        "{}: Field required",
        "{} is required",
        "{} was not found in the schema.",
        "{}: Extra inputs are not permitted",
        "{} is not a valid parameter",
        "Unknown parameter: '{}'",
        "Invalid value: '{}'. Supported values are: 'auto'.",
        "tools.0.custom.name: String should match pattern, got {}",
        'Tool "{}" was not found',
        "Failed to parse arguments: {}",
        "Error: {}",
        "tools.{}.name: invalid",
        "messages.0.content: unexpected `{}`",
    ]
)
TYPES = ("invalid_request_error", "BadRequestError", "INVALID_ARGUMENT", "validation_error")
SHARED = frozenset(ScopeKind) - {ScopeKind.REQUEST}
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


@pytest.mark.parametrize("name", CATALOG)
@given(echo=ECHO, message=MESSAGES, status=st.sampled_from([400, 409, 413, 422]))
def test_an_echo_in_a_callers_error_stays_with_the_request(
    name: str, echo: str, message: str, status: int
) -> None:
    said = message.replace("{}", echo)
    for body in bodies(said, echo):
        verdict = classify(CATALOG[name], Outcome(status, {}, json.dumps(body).encode()))
        assert verdict.kind in FAULTLESS, (verdict, body)
    for words in (f"Invalid request: {said}", said):
        verdict = classify(CATALOG[name], Outcome(status, {}, words.encode()))
        assert verdict.kind in FAULTLESS, (verdict, words)


@pytest.mark.parametrize("name", CATALOG)
@given(echo=ECHO, status=st.sampled_from([401, 402, 403, 404, 410, 429, 500, 503]))
def test_an_echo_changes_nothing_of_what_the_status_says(name: str, echo: str, status: int) -> None:
    dialect = CATALOG[name]
    bare = classify(
        dialect, Outcome(status, {}, b'{"error": {"message": "Something went wrong."}}')
    )
    for body in bodies(f"Something went wrong with {echo}", echo):
        verdict = classify(dialect, Outcome(status, {}, json.dumps(body).encode()))
        assert (verdict.kind, verdict.scope) == (bare.kind, bare.scope), (verdict, body)


@pytest.mark.parametrize("name", CATALOG)
@given(model=ECHO)
def test_a_models_name_reaches_no_further_than_that_model(name: str, model: str) -> None:
    for message in (
        f"The model `{model}` does not exist or you do not have access to it.",
        f"model: {model}",
        f"models/{model} is not found for API version v1beta",
        f"Invalid model: {model}",
    ):
        body = {"error": {"message": message, "type": "not_found_error", "status": "NOT_FOUND"}}
        verdict = classify(CATALOG[name], Outcome(404, {}, json.dumps(body).encode()))
        assert verdict.kind in {Kind.MODEL_NOT_FOUND, Kind.INVALID_REQUEST}
        assert verdict.scope in {ScopeKind.KEY_MODEL, ScopeKind.REQUEST}


@pytest.mark.parametrize("name", CATALOG)
@given(said=ECHO, chunk=ECHO)
def test_what_a_model_says_is_no_error_of_its_provider(name: str, said: str, chunk: str) -> None:
    answer = {"choices": [{"message": {"content": said}}], "error": None, "content": [chunk]}
    stream = f"data: {json.dumps(answer)}\n\ndata: {json.dumps({'delta': chunk})}\n\n"
    for body in (json.dumps(answer), stream):
        assert classify(CATALOG[name], Outcome(200, {}, body.encode())).kind is Kind.OK
    if CATALOG[name].errors.raw_streams:
        raw = classify(CATALOG[name], Outcome(200, {}, f"event: output\ndata: {said}\n\n".encode()))
        assert raw.kind is Kind.OK
    transcript = Outcome(200, {"content-type": "text/plain"}, said.encode())
    assert classify(CATALOG[name], transcript).kind is Kind.OK


@pytest.mark.parametrize("name", CATALOG)
@given(echo=ECHO)
def test_a_provider_that_escapes_nothing_is_never_believed_about_a_key(
    name: str, echo: str
) -> None:
    poison = f'x", "code": "invalid_api_key", "type": "insufficient_quota", "y": "{echo}" z'
    body = f'{{"error": {{"message": "Tool "{poison}" failed", "type": "bad"}}}}'
    verdict = classify(CATALOG[name], Outcome(400, {}, body.encode()))
    assert verdict.evidence is Evidence.WEAK
    assert verdict.scope in {ScopeKind.KEY_MODEL, ScopeKind.REQUEST}
