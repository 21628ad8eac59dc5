"""Each provider's errors and successes have the shape that its documentation shows."""

import pytest

from simulator import DIALECTS, Refusal, Simulator
from tests.integration.simulator.caller import Caller

Expected = tuple[int, str, object]
"""The status, the path of the telling field, and its value or the start of its text."""


def _at(document: object, path: str) -> object:
    for step in path.split("."):
        if isinstance(document, list):
            document = document[int(step)]
        else:
            assert isinstance(document, dict)
            document = document[step]
    return document


_OPENAI: dict[Refusal, Expected] = {
    Refusal.MISSING_KEY: (401, "error.message", "You didn't provide an API key."),
    Refusal.UNKNOWN_KEY: (401, "error.code", "invalid_api_key"),
    Refusal.EMPTY_WALLET: (429, "error.code", "insufficient_quota"),
    Refusal.RATE_LIMITED: (429, "error.code", "rate_limit_exceeded"),
    Refusal.DAILY_LIMITED: (429, "error.message", "Rate limit reached for m in organization"),
    Refusal.MODEL_FORBIDDEN: (403, "error.code", "model_not_found"),
    Refusal.MODEL_UNKNOWN: (404, "error.code", "model_not_found"),
    Refusal.REGION_UNSUPPORTED: (403, "error.code", "unsupported_country_region_territory"),
    Refusal.BAD_REQUEST: (400, "error.type", "invalid_request_error"),
    Refusal.SERVER_ERROR: (500, "error.type", "server_error"),
    Refusal.OVERLOADED: (503, "error.code", "server_is_overloaded"),
}
_ANTHROPIC: dict[Refusal, Expected] = {
    Refusal.MISSING_KEY: (401, "error.message", "x-api-key header is required"),
    Refusal.UNKNOWN_KEY: (401, "error.type", "authentication_error"),
    Refusal.EMPTY_WALLET: (400, "error.message", "Your credit balance is too low"),
    Refusal.RATE_LIMITED: (429, "error.type", "rate_limit_error"),
    Refusal.TOO_MANY_IN_FLIGHT: (429, "error.message", "Number of concurrent connections"),
    Refusal.MODEL_FORBIDDEN: (403, "error.type", "permission_error"),
    Refusal.MODEL_UNKNOWN: (404, "error.message", "model: m"),
    Refusal.BAD_REQUEST: (400, "error.type", "invalid_request_error"),
    Refusal.SERVER_ERROR: (500, "error.type", "api_error"),
    Refusal.OVERLOADED: (529, "error.type", "overloaded_error"),
}
_GEMINI: dict[Refusal, Expected] = {
    Refusal.MISSING_KEY: (403, "error.status", "PERMISSION_DENIED"),
    Refusal.UNKNOWN_KEY: (400, "error.details.0.reason", "API_KEY_INVALID"),
    Refusal.EMPTY_WALLET: (429, "error.status", "RESOURCE_EXHAUSTED"),
    Refusal.RATE_LIMITED: (
        429,
        "error.details.1.violations.0.quotaId",
        "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    ),
    Refusal.DAILY_LIMITED: (
        429,
        "error.details.1.violations.0.quotaId",
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
    ),
    Refusal.MODEL_FORBIDDEN: (403, "error.status", "PERMISSION_DENIED"),
    Refusal.MODEL_UNKNOWN: (404, "error.message", "models/m is not found for API version v1beta"),
    Refusal.REGION_UNSUPPORTED: (400, "error.status", "FAILED_PRECONDITION"),
    Refusal.BAD_REQUEST: (400, "error.status", "INVALID_ARGUMENT"),
    Refusal.SERVER_ERROR: (500, "error.status", "INTERNAL"),
    Refusal.OVERLOADED: (503, "error.status", "UNAVAILABLE"),
}
_GROQ: dict[Refusal, Expected] = {
    Refusal.UNKNOWN_KEY: (401, "error.code", "invalid_api_key"),
    Refusal.EMPTY_WALLET: (400, "error.code", "blocked_api_access"),
    Refusal.RATE_LIMITED: (
        429,
        "error.message",
        "Rate limit reached for model `m` in organization",
    ),
    Refusal.MODEL_FORBIDDEN: (403, "error.code", "model_permission_blocked_project"),
    Refusal.MODEL_UNKNOWN: (404, "error.code", "model_not_found"),
    Refusal.OVERLOADED: (503, "error.type", "internal_server_error"),
}
_MISTRAL: dict[Refusal, Expected] = {
    Refusal.MISSING_KEY: (401, "detail", "Unauthorized"),
    Refusal.UNKNOWN_KEY: (401, "detail", "Invalid API Key"),
    Refusal.BARE_UNAUTHORIZED: (401, "detail", "Unauthorized"),
    Refusal.RATE_LIMITED: (429, "code", "1300"),
    Refusal.MODEL_UNKNOWN: (400, "type", "invalid_model"),
    Refusal.SERVER_ERROR: (500, "type", "internal_server_error"),
    Refusal.OVERLOADED: (429, "type", "engine_max_pending_tokens"),
}
_DEEPSEEK: dict[Refusal, Expected] = {
    Refusal.MISSING_KEY: (401, "error.message", "Authentication Fails (auth header format"),
    Refusal.UNKNOWN_KEY: (401, "error.message", "Authentication Fails, Your api key: ****live is"),
    Refusal.EMPTY_WALLET: (402, "error.message", "Insufficient Balance"),
    Refusal.MODEL_UNKNOWN: (400, "error.message", "Model Not Exist"),
    Refusal.OVERLOADED: (503, "error.message", "Service is too busy."),
}
_OPENAI_COMPATIBLE: dict[Refusal, Expected] = {
    Refusal.UNKNOWN_KEY: (401, "error.code", "invalid_api_key"),
    Refusal.EMPTY_WALLET: (402, "error.code", "insufficient_quota"),
    Refusal.RATE_LIMITED: (429, "error.code", "rate_limit_exceeded"),
    Refusal.MODEL_UNKNOWN: (404, "error.type", "NotFoundError"),
}
_TELLING = {
    "openai": _OPENAI,
    "anthropic": _ANTHROPIC,
    "gemini": _GEMINI,
    "groq": _GROQ,
    "mistral": _MISTRAL,
    "deepseek": _DEEPSEEK,
    "openai_compatible": _OPENAI_COMPATIBLE,
}
_CASES = [
    pytest.param(dialect, refusal, expected, id=f"{dialect}-{refusal}")
    for dialect, table in _TELLING.items()
    for refusal, expected in table.items()
]


@pytest.mark.parametrize(("dialect", "refusal", "expected"), _CASES)
async def test_a_refusal_has_the_documented_telling_field(
    sim: Simulator, call: Caller, dialect: str, refusal: Refusal, expected: Expected
) -> None:
    sim.fault(refusal, dialect=dialect)
    answer = await call.generate(dialect, f"sk-{dialect}-0123456789-live", model="m")
    status, path, value = expected
    assert answer.status_code == status
    found = _at(answer.json(), path)
    assert str(found).startswith(str(value)), found
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("refusal", Refusal)
async def test_every_dialect_renders_every_refusal(
    sim: Simulator, call: Caller, dialect: str, refusal: Refusal
) -> None:
    sim.fault(refusal, dialect=dialect)
    answer = await call.generate(dialect, f"sk-{dialect}-0123456789-live")
    assert answer.status_code >= 400
    assert answer.content
    assert b"{" not in answer.content or answer.json()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_callers_words_are_echoed_in_a_bad_request(
    sim: Simulator, call: Caller, dialect: str
) -> None:
    sim.fault(Refusal.BAD_REQUEST, dialect=dialect)
    prompt = 'API key not valid. {model} "quoted"'
    answer = await call.generate(dialect, f"sk-{dialect}-0123456789-live", prompt=prompt)
    assert answer.status_code == 400
    assert "API key not valid. {model}" in answer.text


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_hostile_provider_shows_the_whole_key(
    sim: Simulator, call: Caller, dialect: str
) -> None:
    secret = f"sk-{dialect}-0123456789-live"
    sim.fault(Refusal.KEY_ECHOED, key=secret)
    assert secret in (await call.generate(dialect, secret)).text
    sim.clear_faults()
    sim.revoke(secret)
    assert secret not in (await call.generate(dialect, secret)).text, "honest ones mask it"


async def test_openai_hints_in_milliseconds_seconds_and_words(sim: Simulator, call: Caller) -> None:
    sim.limit_for("openai-1", 0.7)
    answer = await call.generate("openai", "sk-openai-0123456789-live")
    assert answer.headers["retry-after-ms"] == "700"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert answer.headers["x-ratelimit-reset-requests"] == "700ms"
    assert "Please try again in 700ms." in answer.json()["error"]["message"]


async def test_anthropic_hints_in_seconds_and_instants(sim: Simulator, call: Caller) -> None:
    sim.limit_for("anthropic-1", 30)
    answer = await call.generate("anthropic", "sk-anthropic-0123456789-live")
    assert answer.headers["retry-after"] == "30"
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert answer.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert answer.headers["x-should-retry"] == "true"
    assert answer.headers["request-id"] == answer.json()["request_id"]


async def test_gemini_hints_in_a_typed_detail_and_in_no_header(
    sim: Simulator, call: Caller
) -> None:
    sim.limit_for("gemini-1", 0.7)
    answer = await call.generate("gemini", "sk-gemini-0123456789-live")
    details = answer.json()["error"]["details"]
    assert details[2] == {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "0.7s",
    }
    assert "retry-after" not in answer.headers


async def test_groq_hints_precisely_in_words_only(sim: Simulator, call: Caller) -> None:
    sim.limit_for("groq-1", 431.1, daily=True)
    answer = await call.generate("groq", "sk-groq-0123456789-live")
    message = answer.json()["error"]["message"]
    assert "on requests per day (RPD)" in message
    assert "Please try again in 7m11.1s." in message
    assert answer.headers["retry-after"] == "432"


async def test_deepseek_never_hints(sim: Simulator, call: Caller) -> None:
    sim.limit_for("deepseek-1", 30)
    answer = await call.generate("deepseek", "sk-deepseek-0123456789-live")
    assert answer.status_code == 429
    assert not [name for name in answer.headers if "retry" in name or "ratelimit" in name]


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", "choices.0.message.content"),
        ("anthropic", "content.0.text"),
        ("gemini", "candidates.0.content.parts.0.text"),
        ("groq", "choices.0.message.content"),
        ("mistral", "choices.0.message.content"),
        ("deepseek", "choices.0.message.content"),
        ("openai_compatible", "choices.0.message.content"),
    ],
)
async def test_a_success_has_the_text_where_clients_look(
    call: Caller, dialect: str, path: str
) -> None:
    answer = await call.generate(dialect, f"sk-{dialect}-0123456789-live")
    assert answer.status_code == 200
    assert _at(answer.json(), path) == "Hello from the simulator."


@pytest.mark.parametrize(
    ("dialect", "path", "value"),
    [
        ("openai", "data.0.id", "gpt-4o"),
        ("anthropic", "data.0.id", "claude-sonnet-4-5"),
        ("gemini", "models.0.name", "models/gemini-2.5-flash"),
    ],
)
async def test_the_list_of_models_has_the_documented_shape(
    call: Caller, dialect: str, path: str, value: str
) -> None:
    answer = await call.list_models(dialect, f"sk-{dialect}-0123456789-live")
    assert answer.status_code == 200
    assert _at(answer.json(), path) == value


async def test_gemini_takes_its_key_from_the_query_as_well(sim: Simulator, call: Caller) -> None:
    url = sim.base_url("gemini") + "/v1beta/models"
    assert (await call.http.get(url, params={"key": "sk-gemini-0123456789-live"})).is_success
    assert (await call.http.get(url, params={"key": "wrong"})).status_code == 400


async def test_anthropic_wants_its_version_header(sim: Simulator, call: Caller) -> None:
    url = sim.base_url("anthropic") + "/v1/models"
    answer = await call.http.get(url, headers={"x-api-key": "sk-anthropic-0123456789-live"})
    assert answer.status_code == 400
    assert "anthropic-version" in answer.json()["error"]["message"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_body_that_is_no_json_is_the_callers_fault(
    sim: Simulator, call: Caller, dialect: str
) -> None:
    path = {
        "anthropic": "/v1/messages",
        "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
    }.get(dialect, "/chat/completions")
    headers = call.headers(dialect, f"sk-{dialect}-0123456789-live")
    url = sim.base_url(dialect) + path
    answer = await call.http.post(url, headers=headers, content=b"\xff{cut")
    assert answer.status_code == 400
