"""OpenAI: https://platform.openai.com/docs/guides/error-codes."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.case import Case
from simulator.dialects.base import Headers, Said
from simulator.dialects.openai_style import OpenAIStyle, request_limits
from simulator.words import Refusal

_LIMIT = (
    "Rate limit reached for {model} in organization org-{account} on requests per %s: "
    "Limit {limit}, Used {limit}, Requested 1. Please try again in {retry}. "
    "Visit https://platform.openai.com/account/rate-limits to learn more."
)
_WHERE_KEYS_ARE = "You can find your API key at https://platform.openai.com/account/api-keys."


class OpenAI(OpenAIStyle):
    """Money gone is a 429 with a code of its own; limits carry `retry-after-ms`."""

    name: ClassVar[str] = "openai"
    base: ClassVar[str] = "/openai/v1"
    models: ClassVar[tuple[str, ...]] = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "o4-mini")
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password "
            "field (with blank username) if you're accessing the API from your browser and are "
            "prompted for a username and password. You can obtain an API key from "
            "https://platform.openai.com/account/api-keys.",
            "invalid_request_error",
        ),
        Refusal.UNKNOWN_KEY: Said(
            401,
            "Incorrect API key provided: {masked}. " + _WHERE_KEYS_ARE,
            "invalid_request_error",
            "invalid_api_key",
        ),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized", raw=True),
        Refusal.KEY_ECHOED: Said(
            401,
            "Incorrect API key provided: {secret}. " + _WHERE_KEYS_ARE,
            "invalid_request_error",
            "invalid_api_key",
        ),
        Refusal.EMPTY_WALLET: Said(
            429,
            "You exceeded your current quota, please check your plan and billing details. For more "
            "information on this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        Refusal.RATE_LIMITED: Said(429, _LIMIT % "min (RPM)", "requests", "rate_limit_exceeded"),
        Refusal.DAILY_LIMITED: Said(429, _LIMIT % "day (RPD)", "requests", "rate_limit_exceeded"),
        Refusal.TOO_MANY_IN_FLIGHT: Said(
            429, "Too many concurrent requests.", "requests", "rate_limit_exceeded"
        ),
        Refusal.MODEL_FORBIDDEN: Said(
            403,
            "Project `proj_{account}` does not have access to model `{model}`",
            "invalid_request_error",
            "model_not_found",
        ),
        Refusal.MODEL_UNKNOWN: Said(
            404,
            "The model `{model}` does not exist or you do not have access to it.",
            "invalid_request_error",
            "model_not_found",
        ),
        Refusal.REGION_UNSUPPORTED: Said(
            403,
            "Country, region, or territory not supported.",
            "request_forbidden",
            "unsupported_country_region_territory",
        ),
        Refusal.BAD_REQUEST: Said(
            400,
            "Invalid value: '{prompt}'. Supported values are: 'text' and 'image_url'.",
            "invalid_request_error",
            "invalid_value",
            "messages[0].content[0].type",
        ),
        Refusal.SERVER_ERROR: Said(
            500,
            "The server had an error processing your request. Sorry about that! You can retry your "
            "request, or contact us through our help center at help.openai.com if you keep seeing "
            "this error. (Please include the request ID {request_id} in your email.)",
            "server_error",
        ),
        Refusal.UNAVAILABLE: Said(
            503,
            "That model is currently overloaded with other requests. You can retry your request, "
            "or contact us through our help center at help.openai.com if the error persists.",
            "server_error",
        ),
        Refusal.OVERLOADED: Said(
            503,
            "The server is overloaded or not ready yet.",
            "server_error",
            "server_is_overloaded",
        ),
    }

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        own: Headers = (
            ("openai-version", "2020-10-01"),
            ("openai-processing-ms", "12"),
            ("x-request-id", case.request_id),
        )
        if refusal in (Refusal.RATE_LIMITED, Refusal.DAILY_LIMITED):
            wait = (
                ("retry-after-ms", str(round(case.retry_s * 1000))),
                ("retry-after", case.retry_after),
            )
            return (*own, *request_limits(case, refusal), *wait)
        return (*own, *request_limits(case, refusal))
