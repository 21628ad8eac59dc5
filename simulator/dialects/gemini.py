"""Gemini: https://ai.google.dev/gemini-api/docs/troubleshooting and google.rpc.error_details."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from simulator.case import Case
from simulator.dialects.base import (
    COMPLETION_TOKENS,
    GREETING,
    PROMPT_TOKENS,
    Dialect,
    Headers,
    Route,
    Said,
    sse,
    text_in,
)
from simulator.wire import Request
from simulator.words import Refusal, RouteKind

_TYPE: Final = "type.googleapis.com/google.rpc."
_METRIC: Final = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
_LIMIT: Final = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n"
    f"* Quota exceeded for metric: {_METRIC}, limit: {{limit}}, model: {{model}}\n"
    "Please retry in {retry_s}."
)
_GENERATE: Final = re.compile(
    r"/v1beta/models/(?P<model>[^:]+):(generateContent|(?P<streams>streamGenerateContent))"
)
_INVALID: Final = "API key not valid. Please pass a valid API key."
_QUOTA_IDS: Final = {
    Refusal.RATE_LIMITED: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    Refusal.DAILY_LIMITED: "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
}
_UNREADABLE: Final = Said(400, "Invalid JSON payload received.", "INVALID_ARGUMENT")


class Gemini(Dialect):
    """Google's error model: a bad key is a 400, and hints stand in typed details, not headers."""

    name: ClassVar[str] = "gemini"
    base: ClassVar[str] = "/gemini"
    models: ClassVar[tuple[str, ...]] = ("gemini-2.5-flash", "gemini-2.5-pro")
    content_type: ClassVar[str] = "application/json; charset=UTF-8"
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API.",
            "PERMISSION_DENIED",
        ),
        Refusal.UNKNOWN_KEY: Said(400, _INVALID, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized", raw=True),
        Refusal.KEY_ECHOED: Said(
            400, "API key not valid: {secret}", "INVALID_ARGUMENT", "API_KEY_INVALID"
        ),
        Refusal.EMPTY_WALLET: Said(
            429,
            "Your billing account has exceeded its monthly spending cap",
            "RESOURCE_EXHAUSTED",
        ),
        Refusal.RATE_LIMITED: Said(429, _LIMIT, "RESOURCE_EXHAUSTED"),
        Refusal.DAILY_LIMITED: Said(429, _LIMIT, "RESOURCE_EXHAUSTED"),
        Refusal.TOO_MANY_IN_FLIGHT: Said(
            429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"
        ),
        Refusal.MODEL_FORBIDDEN: Said(
            403, "The caller does not have permission", "PERMISSION_DENIED"
        ),
        Refusal.MODEL_UNKNOWN: Said(
            404,
            "models/{model} is not found for API version v1beta, or is not supported for "
            "generateContent. Call ModelService.ListModels to see the list of available models and "
            "their supported methods.",
            "NOT_FOUND",
        ),
        Refusal.REGION_UNSUPPORTED: Said(
            400, "User location is not supported for the API use.", "FAILED_PRECONDITION"
        ),
        Refusal.BAD_REQUEST: Said(
            400,
            "Invalid value at 'contents[0].role' (TYPE_STRING), \"{prompt}\"",
            "INVALID_ARGUMENT",
        ),
        Refusal.SERVER_ERROR: Said(
            500,
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting",
            "INTERNAL",
        ),
        Refusal.UNAVAILABLE: Said(503, "The service is currently unavailable.", "UNAVAILABLE"),
        Refusal.OVERLOADED: Said(
            503,
            "This model is currently experiencing high demand. Spikes in demand are usually "
            "temporary. Please try again later.",
            "UNAVAILABLE",
        ),
    }

    def secret_of(self, request: Request) -> str:
        """The secret that the request presents, or "" when it presents none."""
        return request.headers.get("x-goog-api-key") or request.query.get("key", "")

    def route(self, request: Request) -> Route | None:
        """What the request wants, or None for a path that does not exist."""
        path = self.local_path(request) or ""
        if request.method == "GET" and path == "/v1beta/models":
            return Route(RouteKind.LIST_MODELS)
        asked = _GENERATE.fullmatch(path)
        if request.method != "POST" or asked is None:
            return None
        document = request.document()
        if document is None:
            return Route(RouteKind.GENERATE, wrong=_UNREADABLE)
        prompt = text_in(document, "contents", -1, "parts", 0, "text")
        return Route(RouteKind.GENERATE, asked["model"], bool(asked["streams"]), prompt)

    def error(self, refusal: Refusal, said: Said, case: Case) -> object:
        """The JSON document of an error."""
        message = said.message.format_map(case.words())
        error: dict[str, object] = {"code": said.status, "message": message, "status": said.type}
        details = _details(refusal, said, case, message)
        return {"error": {**error, "details": details} if details else error}

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        return (("server-timing", "gfet4t7; dur=12"), ("x-content-type-options", "nosniff"))

    def completion(self, case: Case) -> object:
        """The JSON document of a success."""
        return _candidate(case, GREETING, "STOP")

    def events(self, case: Case, pieces: Sequence[str]) -> list[bytes]:
        """The server-sent events of a success, one chunk each, as with `alt=sse`."""
        *before, last = pieces
        return [
            *(sse(_candidate(case, piece, None)) for piece in before),
            sse(_candidate(case, last, "STOP")),
        ]

    def model_list(self, models: Sequence[str]) -> object:
        """The JSON document that lists `models`."""
        rows = [
            {
                "name": f"models/{model}",
                "displayName": model,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }
            for model in models
        ]
        return {"models": rows}


def _candidate(case: Case, text: str, finish: str | None) -> object:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": {
            "promptTokenCount": PROMPT_TOKENS,
            "candidatesTokenCount": COMPLETION_TOKENS,
            "totalTokenCount": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
        "modelVersion": case.model,
        "responseId": case.request_id,
    }


def _details(refusal: Refusal, said: Said, case: Case, message: str) -> list[object]:
    if refusal in _QUOTA_IDS:
        violation = {
            "quotaMetric": _METRIC,
            "quotaId": _QUOTA_IDS[refusal],
            "quotaDimensions": {"location": "global", "model": case.model},
            "quotaValue": str(case.allowance.limit),
        }
        link = {
            "description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
        }
        return [
            {"@type": _TYPE + "Help", "links": [link]},
            {"@type": _TYPE + "QuotaFailure", "violations": [violation]},
            {"@type": _TYPE + "RetryInfo", "retryDelay": str(case.words()["retry_s"])},
        ]
    if said.code:
        return [
            {
                "@type": _TYPE + "ErrorInfo",
                "reason": said.code,
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            },
            {"@type": _TYPE + "LocalizedMessage", "locale": "en-US", "message": message},
        ]
    if refusal is Refusal.BAD_REQUEST:
        violations = [{"field": "contents[0].role", "description": message}]
        return [{"@type": _TYPE + "BadRequest", "fieldViolations": violations}]
    return []
