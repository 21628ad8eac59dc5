"""The simulated providers: a process of its own, told over HTTP what happens to its keys."""

from collections.abc import Sequence
from typing import Any

import httpx

MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "groq": "llama-3.3-70b-versatile",
}
"""The providers that play, and the model that is asked of each."""

ANSWER_S = 0.06
"""How long a provider takes to answer."""


class Providers:
    """Issues and revokes keys, and counts the calls that were made with them."""

    def __init__(self, control_url: str, http: httpx.AsyncClient) -> None:
        self._control_url = control_url.rstrip("/")
        self._http = http

    async def open(self) -> None:
        """Let every answer take as long as one does."""
        for provider in MODELS:
            await self._do("slow", seconds=ANSWER_S, dialect=provider)

    async def issue(self, provider: str, secret: str) -> None:
        """Make a secret one that the provider accepts."""
        await self._do("add_key", dialect=provider, secret=secret)

    async def revoke(self, secrets: Sequence[str]) -> None:
        """Make the provider reject these secrets from now on."""
        for secret in secrets:
            await self._do("revoke", key=secret)

    async def rejected_calls(self) -> int:
        """How many calls that cost something were made with secrets that are not accepted."""
        answer = await self._http.get(f"{self._control_url}/calls")
        calls: list[dict[str, Any]] = answer.raise_for_status().json()
        return sum(call["status"] == 401 and call["kind"] == "generate" for call in calls)

    async def _do(self, command: str, **arguments: object) -> None:
        answer = await self._http.post(f"{self._control_url}/{command}", json=arguments)
        answer.raise_for_status()


def prompt_for(provider: str, base_url: str, model: str) -> tuple[str, dict[str, object]]:
    """The URL to POST to, and the body, for one short question."""
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": model, "max_tokens": 16, "messages": messages}
    path = "/v1/messages" if provider == "anthropic" else "/chat/completions"
    return base_url + path, body
