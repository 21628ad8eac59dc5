"""What OpenAI's own dialect and the ones modelled on it have in common."""

from collections.abc import Sequence
from typing import ClassVar, Final

from simulator.case import Case, go_duration
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

_USAGE: Final = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}

_METERED: Final = frozenset(
    {None, Refusal.RATE_LIMITED, Refusal.DAILY_LIMITED, Refusal.BAD_REQUEST, Refusal.MODEL_UNKNOWN}
)
_UNREADABLE: Final = Said(
    400,
    "We could not parse the JSON body of your request, or it names no model.",
    "invalid_request_error",
)


class OpenAIStyle(Dialect):
    """Bearer authentication, `/chat/completions`, `/models`, errors under `error`."""

    owner: ClassVar[str] = "system"

    def secret_of(self, request: Request) -> str:
        """The secret that the request presents, or "" when it presents none."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        return secret.strip() if scheme.lower() == "bearer" else ""

    def route(self, request: Request) -> Route | None:
        """What the request wants, or None for a path that does not exist."""
        match request.method, self.local_path(request):
            case "GET", "/models":
                return Route(RouteKind.LIST_MODELS)
            case "POST", "/chat/completions":
                document = request.document()
                if document is None or not text_in(document, "model"):
                    return Route(RouteKind.GENERATE, wrong=_UNREADABLE)
                return Route(
                    RouteKind.GENERATE,
                    text_in(document, "model"),
                    document.get("stream") is True,
                    text_in(document, "messages", -1, "content"),
                )
            case _:
                return None

    def error(self, refusal: Refusal, said: Said, case: Case) -> object:
        """The JSON document of an error."""
        message = said.message.format_map(case.words())
        return {
            "error": {
                "message": message,
                "type": said.type,
                "param": said.param,
                "code": said.code,
            }
        }

    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""
        own = (("x-request-id", case.request_id),)
        if refusal in (Refusal.RATE_LIMITED, Refusal.DAILY_LIMITED):
            return (*own, ("retry-after", case.retry_after))
        return own

    def completion(self, case: Case) -> object:
        """The JSON document of a success."""
        return {
            "id": f"chatcmpl-{case.request_id}",
            "object": "chat.completion",
            "created": int(case.now.timestamp()),
            "model": case.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": GREETING},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _USAGE,
        }

    def events(self, case: Case, pieces: Sequence[str]) -> list[bytes]:
        """The server-sent events of a success, one chunk each."""
        opening = self._event(case, {"role": "assistant", "content": ""})
        closing = self._event(case, {}, finish="stop") + b"data: [DONE]\n\n"
        return [opening, *(self._event(case, {"content": piece}) for piece in pieces), closing]

    def model_list(self, models: Sequence[str]) -> object:
        """The JSON document that lists `models`."""
        rows = [
            {"id": model, "object": "model", "created": 1_715_367_049, "owned_by": self.owner}
            for model in models
        ]
        return {"object": "list", "data": rows}

    def _event(self, case: Case, delta: dict[str, str], finish: str | None = None) -> bytes:
        return sse(
            {
                "id": f"chatcmpl-{case.request_id}",
                "object": "chat.completion.chunk",
                "created": int(case.now.timestamp()),
                "model": case.model,
                "choices": [
                    {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
                ],
            }
        )


def request_limits(case: Case, refusal: Refusal | None) -> Headers:
    """The `x-ratelimit-*` headers that OpenAI and Groq send to a key they have let in."""
    if refusal not in _METERED:
        return ()
    allowance = case.allowance
    return (
        ("x-ratelimit-limit-requests", str(allowance.limit)),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", str(allowance.remaining)),
        ("x-ratelimit-remaining-tokens", "199983"),
        ("x-ratelimit-reset-requests", go_duration(allowance.reset_s)),
        ("x-ratelimit-reset-tokens", "5ms"),
    )
