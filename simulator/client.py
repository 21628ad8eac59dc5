"""How a caller of each dialect asks for a generation: for gateways in tests and in the demo."""

from simulator.dialects import DIALECTS
from simulator.switchboard import UnknownDialectError


def authentication(dialect: str, secret: str) -> dict[str, str]:
    """The headers that present a secret, with those the dialect requires beside it."""
    match dialect:
        case "anthropic":
            return {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        case "gemini":
            return {"x-goog-api-key": secret}
        case _:
            return {"authorization": f"Bearer {secret}"}


def generation(
    dialect: str, base_url: str, model: str, prompt: str = "Hello", *, streams: bool = False
) -> tuple[str, dict[str, object]]:
    """The URL to POST to, and the JSON body; raises UnknownDialectError."""
    if dialect not in DIALECTS:
        raise UnknownDialectError(dialect)
    if dialect == "gemini":
        method = "streamGenerateContent?alt=sse" if streams else "generateContent"
        contents = [{"role": "user", "parts": [{"text": prompt}]}]
        return f"{base_url}/v1beta/models/{model}:{method}", {"contents": contents}
    body: dict[str, object] = {
        "model": model,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": prompt}],
    }
    if streams:
        body["stream"] = True
    if dialect == "anthropic":
        return f"{base_url}/v1/messages", body
    return f"{base_url}/chat/completions", body
