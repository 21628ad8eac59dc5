"""Mistral: https://docs.mistral.ai/api; its gateway and its engine word errors differently."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.case import Case
from simulator.dialects.base import Headers, Said
from simulator.dialects.openai_style import OpenAIStyle
from simulator.words import Refusal


class Mistral(OpenAIStyle):
    """Errors have no envelope: numbered codes from the engine, `detail` from the gateway."""

    name: ClassVar[str] = "mistral"
    owner: ClassVar[str] = "mistralai"
    base: ClassVar[str] = "/mistral/v1"
    models: ClassVar[tuple[str, ...]] = ("mistral-large-latest", "mistral-small-latest")
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(401, "Unauthorized"),
        Refusal.UNKNOWN_KEY: Said(401, "Invalid API Key"),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized"),
        Refusal.KEY_ECHOED: Said(401, "Invalid API Key: {secret}"),
        Refusal.EMPTY_WALLET: Said(402, "Payment Required"),
        Refusal.RATE_LIMITED: Said(429, "Requests rate limit exceeded", "rate_limited", "1300"),
        Refusal.DAILY_LIMITED: Said(429, "Requests rate limit exceeded", "rate_limited", "1300"),
        Refusal.TOO_MANY_IN_FLIGHT: Said(429, "Rate limit exceeded", "rate_limited", "1300"),
        Refusal.MODEL_FORBIDDEN: Said(403, "You do not have access to the model {model}."),
        Refusal.MODEL_UNKNOWN: Said(400, "Invalid model: {model}", "invalid_model", "1500"),
        Refusal.REGION_UNSUPPORTED: Said(403, "Access denied", raw=True),
        Refusal.BAD_REQUEST: Said(
            400, "Unexpected content: {prompt}", "invalid_request_invalid_args", "3051"
        ),
        Refusal.SERVER_ERROR: Said(500, "Service unavailable.", "internal_server_error", "1000"),
        Refusal.UNAVAILABLE: Said(503, "Service unavailable.", "internal_server_error", "1000"),
        Refusal.OVERLOADED: Said(
            429, "Capacity exceeded for this model.", "engine_max_pending_tokens", "3810"
        ),
    }

    def error(self, refusal: Refusal, said: Said, case: Case) -> object:
        """The JSON document of an error."""
        message = said.message.format_map(case.words())
        if not said.type:
            return {"detail": message}
        return {
            "object": "error",
            "message": message,
            "type": said.type,
            "param": None,
            "code": said.code,
            "raw_status_code": said.status,
        }

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        own = (("mistral-correlation-id", case.request_id.removeprefix("req_")),)
        if refusal not in (None, Refusal.RATE_LIMITED, Refusal.DAILY_LIMITED):
            return own
        limits = (
            ("x-ratelimit-limit-req-minute", str(case.allowance.limit)),
            ("x-ratelimit-remaining-req-minute", str(case.allowance.remaining)),
            ("x-ratelimit-limit-tokens-minute", "500000"),
            ("x-ratelimit-remaining-tokens-minute", "499983"),
        )
        wait = (("retry-after", case.retry_after),) if refusal else ()
        return (*own, *limits, *wait)
