"""Groq: https://console.groq.com/docs/errors, .../rate-limits and .../spend-limits."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.case import Case
from simulator.dialects.base import Headers, Said
from simulator.dialects.openai_style import OpenAIStyle, request_limits
from simulator.words import Refusal

_INVALID = "invalid_request_error"
_LIMIT = (
    "Rate limit reached for model `{model}` in organization `org_{account}` service tier "
    "`on_demand` on requests per %s: Limit {limit}, Used {limit}, Requested 1. Please try again in "
    "{retry}. Need more tokens? Upgrade to Dev Tier today at "
    "https://console.groq.com/settings/billing"
)


class Groq(OpenAIStyle):
    """OpenAI's envelope without nulls; the precise hint stands in the message."""

    name: ClassVar[str] = "groq"
    owner: ClassVar[str] = "Meta"
    base: ClassVar[str] = "/groq/openai/v1"
    models: ClassVar[tuple[str, ...]] = ("llama-3.3-70b-versatile", "llama-3.1-8b-instant")
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(401, "Invalid API Key", _INVALID, "invalid_api_key"),
        Refusal.UNKNOWN_KEY: Said(401, "Invalid API Key", _INVALID, "invalid_api_key"),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized", raw=True),
        Refusal.KEY_ECHOED: Said(401, "Invalid API Key: {secret}", _INVALID, "invalid_api_key"),
        Refusal.EMPTY_WALLET: Said(
            400,
            "API access is blocked because your organization reached its spend limit.",
            _INVALID,
            "blocked_api_access",
        ),
        Refusal.RATE_LIMITED: Said(429, _LIMIT % "minute (RPM)", "requests", "rate_limit_exceeded"),
        Refusal.DAILY_LIMITED: Said(429, _LIMIT % "day (RPD)", "requests", "rate_limit_exceeded"),
        Refusal.TOO_MANY_IN_FLIGHT: Said(
            429, "Too many concurrent requests", "requests", "rate_limit_exceeded"
        ),
        Refusal.MODEL_FORBIDDEN: Said(
            403,
            "The model `{model}` is blocked at the project level. Please have a project admin "
            "enable this model in the project settings at "
            "https://console.groq.com/settings/project/limits",
            "permissions_error",
            "model_permission_blocked_project",
        ),
        Refusal.MODEL_UNKNOWN: Said(
            404,
            "The model `{model}` does not exist or you do not have access to it.",
            _INVALID,
            "model_not_found",
        ),
        Refusal.REGION_UNSUPPORTED: Said(403, "Access denied. Please check your network settings."),
        Refusal.BAD_REQUEST: Said(
            400, "messages[0].content: unexpected value `{prompt}`", _INVALID
        ),
        Refusal.SERVER_ERROR: Said(500, "Internal Server Error", "internal_server_error"),
        Refusal.UNAVAILABLE: Said(503, "Service Unavailable", "internal_server_error"),
        Refusal.OVERLOADED: Said(
            503,
            "{model} is currently over capacity. Please try again and back off exponentially. "
            "Visit https://groqstatus.com to see if there is an active incident.",
            "internal_server_error",
        ),
    }

    def error(self, refusal: Refusal, said: Said, case: Case) -> object:
        """The JSON document of an error."""
        parts = {"message": said.message.format_map(case.words()), "type": said.type}
        return {
            "error": {name: text for name, text in (*parts.items(), ("code", said.code)) if text}
        }

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        return (*super().headers(case, refusal), *request_limits(case, refusal))
