"""Bearer tokens: who is let in."""

import pytest

from broker.edge.bearer import BearerTokens, digest
from broker.services.principal import LOCAL, Principal, Role

CHAT = Principal("chat", frozenset({Role.GATEWAY}))
TOKENS = BearerTokens({digest("chat-token"): CHAT, digest("other"): LOCAL})


@pytest.mark.parametrize("header", ["Bearer chat-token", "bearer chat-token", "BEARER  chat-token"])
def test_a_known_token_names_its_principal(header: str) -> None:
    assert TOKENS.principal(header) == CHAT


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "chat-token", "Basic chat-token", "Bearer chat-toke\udc80"]
)
def test_anything_else_names_nobody(header: str) -> None:
    assert TOKENS.principal(header) is None


def test_without_tokens_everybody_is_local() -> None:
    assert BearerTokens().principal("") == LOCAL
