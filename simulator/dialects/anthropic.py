"""Anthropic: https://docs.claude.com/en/api/errors and .../rate-limits."""

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

_LIMIT = (
    "This request would exceed your organization's rate limit of {limit} requests per %s "
    "(org: {account}, model: {model}). For details, refer to: "
    "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
    "usage. Please reduce the prompt length or the maximum tokens requested, or try again later."
)
_METERED: Final = frozenset({None, Refusal.RATE_LIMITED, Refusal.DAILY_LIMITED})
_RETRIED: Final = frozenset(
    {
        Refusal.RATE_LIMITED,
        Refusal.DAILY_LIMITED,
        Refusal.TOO_MANY_IN_FLIGHT,
        Refusal.SERVER_ERROR,
        Refusal.UNAVAILABLE,
        Refusal.OVERLOADED,
    }
)
_NO_VERSION: Final = Said(400, "anthropic-version: header is required", "invalid_request_error")
_UNREADABLE: Final = Said(
    400, "The request body is not valid JSON, or it names no model.", "invalid_request_error"
)


class Anthropic(Dialect):
    """`x-api-key`, a required version header, money gone as a 400, overload as a 529."""

    name: ClassVar[str] = "anthropic"
    base: ClassVar[str] = "/anthropic"
    models: ClassVar[tuple[str, ...]] = ("claude-sonnet-4-5", "claude-haiku-4-5")
    said: ClassVar[Mapping[Refusal, Said]] = {
        Refusal.MISSING_KEY: Said(401, "x-api-key header is required", "authentication_error"),
        Refusal.UNKNOWN_KEY: Said(401, "invalid x-api-key", "authentication_error"),
        Refusal.BARE_UNAUTHORIZED: Said(401, "Unauthorized", raw=True),
        Refusal.KEY_ECHOED: Said(401, "invalid x-api-key {secret}", "authentication_error"),
        Refusal.EMPTY_WALLET: Said(
            400,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.",
            "invalid_request_error",
        ),
        Refusal.RATE_LIMITED: Said(429, _LIMIT % "minute", "rate_limit_error"),
        Refusal.DAILY_LIMITED: Said(429, _LIMIT % "day", "rate_limit_error"),
        Refusal.TOO_MANY_IN_FLIGHT: Said(
            429,
            "Number of concurrent connections has exceeded your rate limit. Please try again later "
            "or contact sales at https://www.anthropic.com/contact-sales to discuss your options "
            "for a rate limit increase.",
            "rate_limit_error",
        ),
        Refusal.MODEL_FORBIDDEN: Said(
            403,
            "Your API key does not have permission to use the specified resource.",
            "permission_error",
        ),
        Refusal.MODEL_UNKNOWN: Said(404, "model: {model}", "not_found_error"),
        Refusal.REGION_UNSUPPORTED: Said(403, "Request not allowed", "forbidden"),
        Refusal.BAD_REQUEST: Said(
            400,
            "messages.0.content.0.type: Input tag '{prompt}' found using 'type' does not match any "
            "of the expected tags: 'document', 'image', 'text'",
            "invalid_request_error",
        ),
        Refusal.SERVER_ERROR: Said(500, "Internal server error", "api_error"),
        Refusal.UNAVAILABLE: Said(
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            raw=True,
        ),
        Refusal.OVERLOADED: Said(529, "Overloaded", "overloaded_error"),
    }

    def secret_of(self, request: Request) -> str:
        """The secret that the request presents, or "" when it presents none."""
        return request.headers.get("x-api-key", "")

    def route(self, request: Request) -> Route | None:
        """What the request wants, or None for a path that does not exist."""
        asked = request.method, self.local_path(request)
        if asked not in _PATHS:
            return None
        wrong = None if "anthropic-version" in request.headers else _NO_VERSION
        if asked == _LIST:
            return Route(RouteKind.LIST_MODELS, wrong=wrong)
        document = request.document()
        if document is None or not text_in(document, "model"):
            return Route(RouteKind.GENERATE, wrong=_UNREADABLE)
        prompt = text_in(document, "messages", -1, "content")
        return Route(
            RouteKind.GENERATE,
            text_in(document, "model"),
            document.get("stream") is True,
            prompt or text_in(document, "messages", -1, "content", 0, "text"),
            wrong,
        )

    def error(self, refusal: Refusal, said: Said, case: Case) -> object:
        """The JSON document of an error."""
        message = said.message.format_map(case.words())
        return {
            "type": "error",
            "error": {"type": said.type, "message": message},
            "request_id": case.request_id,
        }

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        own: Headers = (("request-id", case.request_id),)
        if refusal:
            own += (("x-should-retry", "true" if refusal in _RETRIED else "false"),)
        if refusal not in _METERED:
            return own
        allowance = case.allowance
        own += (
            ("anthropic-organization-id", case.account or "default"),
            ("anthropic-ratelimit-requests-limit", str(allowance.limit)),
            ("anthropic-ratelimit-requests-remaining", str(allowance.remaining)),
            ("anthropic-ratelimit-requests-reset", case.after(allowance.reset_s)),
            ("anthropic-ratelimit-tokens-limit", "480000"),
            ("anthropic-ratelimit-tokens-remaining", "480000"),
            ("anthropic-ratelimit-tokens-reset", case.after(0)),
        )
        return (*own, ("retry-after", case.retry_after)) if refusal else own

    def error_event(self, refusal: Refusal, case: Case) -> bytes:
        """An error as one server-sent event inside a stream that began well."""
        return sse(self.error(refusal, self.said[refusal], case), "error")

    def completion(self, case: Case) -> object:
        """The JSON document of a success."""
        return {
            **self._message(case),
            "content": [{"type": "text", "text": GREETING}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS},
        }

    def events(self, case: Case, pieces: Sequence[str]) -> list[bytes]:
        """The server-sent events of a success, one chunk each."""
        block = {"type": "text", "text": ""}
        opening = _event("message_start", message=self._message(case)) + _event(
            "content_block_start", index=0, content_block=block
        )
        deltas = [
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ]
        closing = (
            _event("content_block_stop", index=0)
            + _event(
                "message_delta",
                delta={"stop_reason": "end_turn", "stop_sequence": None},
                usage={"output_tokens": COMPLETION_TOKENS},
            )
            + _event("message_stop")
        )
        return [opening, *deltas, closing]

    def model_list(self, models: Sequence[str]) -> object:
        """The JSON document that lists `models`."""
        rows = [
            {
                "type": "model",
                "id": model,
                "display_name": model,
                "created_at": "2025-09-29T00:00:00Z",
            }
            for model in models
        ]
        ends = (models[0], models[-1]) if models else (None, None)
        return {"data": rows, "has_more": False, "first_id": ends[0], "last_id": ends[1]}

    def _message(self, case: Case) -> dict[str, object]:
        return {
            "id": f"msg_{case.request_id.removeprefix('req_')}",
            "type": "message",
            "role": "assistant",
            "model": case.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": 1},
        }


_LIST: Final = ("GET", "/v1/models")
_PATHS: Final = frozenset({_LIST, ("POST", "/v1/messages")})


def _event(name: str, **fields: object) -> bytes:
    return sse({"type": name, **fields}, name)
