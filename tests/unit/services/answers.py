"""What providers say in these tests, and two providers that say it.

Their dialect puts each kind into one field, so that the evidence is CERTAIN where a test wants it;
a bare status stays WEAK.
"""

from dataclasses import replace
from typing import Final

from broker.core.denial import Target
from broker.core.outcome import Outcome
from broker.core.provider import Provider
from broker.core.verdicts.dialect import (
    Dialect,
    ErrorSites,
    FreeProbe,
    HeaderHint,
    Hints,
    LimitHeaders,
)
from broker.core.verdicts.rule import Rule, ValueTest
from broker.core.words import Kind, Phase, QuotaWindow, ScopeKind, TransportError

_CODE: Final = "code"


def _rule(
    code: str,
    kind: Kind,
    scope: ScopeKind,
    *,
    missing_auth: bool = False,
    window: QuotaWindow | None = None,
) -> Rule:
    test = ValueTest.of(_CODE, (code,))
    return Rule(
        f"spoken:{code}",
        kind,
        scope,
        fields=(test,),
        missing_auth=missing_auth,
        quota_window=window,
    )


SPOKEN = Dialect(
    "spoken",
    "Spoken",
    "https://spoken.test",
    ErrorSites({_CODE: ((_CODE,),)}, (("message",),)),
    rules=(
        _rule("limit", Kind.RATE_LIMITED, ScopeKind.KEY_MODEL),
        _rule("limit-of-all", Kind.RATE_LIMITED, ScopeKind.ACCOUNT_MODEL),
        _rule("no-money", Kind.QUOTA_EXHAUSTED, ScopeKind.ACCOUNT),
        _rule("no-money-today", Kind.QUOTA_EXHAUSTED, ScopeKind.ACCOUNT, window=QuotaWindow.DAY),
        _rule("bad-key", Kind.INVALID_CREDENTIAL, ScopeKind.KEY),
        _rule("no-key", Kind.INVALID_CREDENTIAL, ScopeKind.KEY, missing_auth=True),
        _rule("forbidden", Kind.PERMISSION_DENIED, ScopeKind.KEY_MODEL),
        _rule("no-model", Kind.MODEL_NOT_FOUND, ScopeKind.KEY_MODEL),
        _rule("no-region", Kind.REGION_UNSUPPORTED, ScopeKind.REQUEST),
    ),
    probe=FreeProbe("/models", authenticates=True),
    hints=Hints(headers=(HeaderHint("retry-after"),)),
    limits=(LimitHeaders("x-limit", "x-remaining"),),
    help_url="https://spoken.test/keys",
    status_url="https://status.spoken.test",
)
PUBLIC = replace(SPOKEN, name="public", probe=FreeProbe("/models", authenticates=False))
"""As SPOKEN, but its list of models is public: no probe proves a key."""

PROVIDERS = {
    "openai": Provider("openai", SPOKEN, "https://openai.test", models=("gpt-4o", "gpt-mini")),
    "groq": Provider("groq", SPOKEN, "https://groq.test", models=("llama",)),
    "public": Provider("public", PUBLIC, "https://public.test", models=("open",)),
}

GPT = Target("openai", "gpt-4o")
MINI = Target("openai", "gpt-mini")
STRANGE = Target("openai", "made-up")
"""A model that nobody configured."""
LLAMA = Target("groq", "llama")
OPEN = Target("public", "open")


def said(code: str, status: int = 400, **headers: str) -> Outcome:
    """An answer that names its error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = f'{{"{_CODE}": "{code}"}}'.encode()
    return Outcome(http_status=status, headers=named, body=body)


OK = Outcome(http_status=200)
INTERIM = replace(OK, interim=True, phase=Phase.MID_STREAM)
LIMITED = said("limit", 429)
ALL_LIMITED = said("limit-of-all", 429)
"""A limit that the keys of an account share on a model."""
EXHAUSTED = said("no-money", 402)
BAD_KEY = said("bad-key", 401)
WEAK_401 = Outcome(http_status=401)
NO_KEY_SENT = said("no-key", 401)
FORBIDDEN = said("forbidden", 403)
NO_MODEL = said("no-model", 404)
NO_REGION = said("no-region", 403)
BAD_REQUEST = Outcome(http_status=400)
FAULT = Outcome(http_status=500)
OVERLOADED = Outcome(http_status=503)
CUT_OFF = replace(FAULT, phase=Phase.MID_STREAM)
UNREACHABLE = Outcome(transport_error=TransportError.CONNECT, phase=Phase.BEFORE_SEND)
CANCELLED = Outcome(transport_error=TransportError.CALLER_CANCELLED)
