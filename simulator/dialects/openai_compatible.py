"""A self-hosted server that speaks OpenAI's dialect, such as vLLM behind a small proxy."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.dialects.base import Said
from simulator.dialects.openai_style import OpenAIStyle
from simulator.words import Refusal

_INVALID = "invalid_request_error"


class OpenAICompatible(OpenAIStyle):
    """The common denominator: OpenAI's envelope, few codes, `retry-after` only."""

    name: ClassVar[str] = "openai_compatible"
    owner: ClassVar[str] = "vllm"
    base: ClassVar[str] = "/openai_compatible/v1"
    models: ClassVar[tuple[str, ...]] = ("llama-3.3-70b", "qwen3-32b")
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(401, "Missing API key.", _INVALID),
        Refusal.UNKNOWN_KEY: Said(401, "Invalid API key.", _INVALID, "invalid_api_key"),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized", raw=True),
        Refusal.KEY_ECHOED: Said(401, "Invalid API key: {secret}", _INVALID, "invalid_api_key"),
        Refusal.EMPTY_WALLET: Said(
            402, "Insufficient credits.", "insufficient_quota", "insufficient_quota"
        ),
        Refusal.RATE_LIMITED: Said(
            429, "Rate limit exceeded.", "rate_limit_error", "rate_limit_exceeded"
        ),
        Refusal.DAILY_LIMITED: Said(
            429, "Rate limit exceeded: requests per day.", "rate_limit_error", "rate_limit_exceeded"
        ),
        Refusal.TOO_MANY_IN_FLIGHT: Said(
            429, "Too many concurrent requests.", "rate_limit_error", "rate_limit_exceeded"
        ),
        Refusal.MODEL_FORBIDDEN: Said(
            403, "Access to model `{model}` is denied.", "permission_error", "model_not_allowed"
        ),
        Refusal.MODEL_UNKNOWN: Said(
            404, "The model `{model}` does not exist.", "NotFoundError", "404", "model"
        ),
        Refusal.REGION_UNSUPPORTED: Said(403, "Access denied.", "request_forbidden"),
        Refusal.BAD_REQUEST: Said(400, "Cannot parse the content: {prompt}", "BadRequestError"),
        Refusal.SERVER_ERROR: Said(500, "Internal server error", "InternalServerError", "500"),
        Refusal.UNAVAILABLE: Said(503, "Service unavailable", raw=True),
        Refusal.OVERLOADED: Said(503, "The engine is overloaded.", "server_error"),
    }
