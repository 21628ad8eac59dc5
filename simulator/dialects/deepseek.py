"""DeepSeek: https://api-docs.deepseek.com/quick_start/error_codes."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.case import Case
from simulator.dialects.base import Headers, Said
from simulator.dialects.openai_style import OpenAIStyle
from simulator.words import Refusal

_CODE = "invalid_request_error"
"""The code of nearly every DeepSeek error, whatever went wrong."""


class DeepSeek(OpenAIStyle):
    """One code for everything, a 402 for money, and never a hint when to come back."""

    name: ClassVar[str] = "deepseek"
    owner: ClassVar[str] = "deepseek"
    base: ClassVar[str] = "/deepseek"
    aliases: ClassVar[tuple[str, ...]] = ("/deepseek/v1",)
    models: ClassVar[tuple[str, ...]] = ("deepseek-chat", "deepseek-reasoner")
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(
            401,
            "Authentication Fails (auth header format should be Bearer sk-...)",
            "authentication_error",
            _CODE,
        ),
        Refusal.UNKNOWN_KEY: Said(
            401,
            "Authentication Fails, Your api key: ****{tail} is invalid",
            "authentication_error",
            _CODE,
        ),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized", raw=True),
        Refusal.KEY_ECHOED: Said(
            401,
            "Authentication Fails, Your api key: {secret} is invalid",
            "authentication_error",
            _CODE,
        ),
        Refusal.EMPTY_WALLET: Said(402, "Insufficient Balance", "unknown_error", _CODE),
        Refusal.RATE_LIMITED: Said(
            429,
            "Rate limit reached. You are sending requests too quickly.",
            "rate_limit_error",
            _CODE,
        ),
        Refusal.DAILY_LIMITED: Said(
            429,
            "Rate limit reached. You are sending requests too quickly.",
            "rate_limit_error",
            _CODE,
        ),
        Refusal.TOO_MANY_IN_FLIGHT: Said(
            429, "Rate limit reached. Too many concurrent requests.", "rate_limit_error", _CODE
        ),
        Refusal.MODEL_FORBIDDEN: Said(403, "Permission denied", "permission_error", _CODE),
        Refusal.MODEL_UNKNOWN: Said(400, "Model Not Exist", "invalid_request_error", _CODE),
        Refusal.REGION_UNSUPPORTED: Said(403, "Access denied", raw=True),
        Refusal.BAD_REQUEST: Said(
            400,
            "Failed to deserialize the JSON body into the target type: messages[0]: unknown "
            "variant `{prompt}`",
            "invalid_request_error",
            _CODE,
        ),
        Refusal.SERVER_ERROR: Said(500, "Internal Server Error", "server_error", _CODE),
        Refusal.UNAVAILABLE: Said(503, "Service is too busy.", "service_unavailable_error", _CODE),
        Refusal.OVERLOADED: Said(
            503,
            "Service is too busy. We advise users to temporarily switch to alternative LLM API "
            "service providers.",
            "service_unavailable_error",
            _CODE,
        ),
    }

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        return (("x-ds-trace-id", case.request_id.removeprefix("req_")),)
