"""The second fence: what looks like a secret is not logged, should the first have let it through.

The first fence is the type Secret. This one works on names of fields and on the shapes of keys and
bearer tokens in any text, tracebacks included; it cannot know a secret that looks like a word.
"""

import re
from collections.abc import Mapping
from typing import Final

from broker.core.secret import Secret

MASK: Final = "[redacted]"

_NAMES: Final = (
    *("secret", "token", "authorization", "plaintext", "password", "api_key", "apikey"),
    *("x_goog_api_key", "cookie", "set_cookie", "credentials"),
)
_NAME: Final = re.compile(rf"(?:.*_)?(?:{'|'.join(_NAMES)})", re.IGNORECASE)

_LINK: Final = r"""[\\"']{0,9}\s{0,3}[:=]\s{0,3}(?:b(?=[\\'"]))?[\\"']{0,9}"""
"""What stands between a name and its value in texts, JSON and reprs; also escaped once more."""

_NAMED: Final = re.compile(
    # As in headers, query strings and reprs of them:
    rf"((?:authorization|api[_-]?key|access[_-]token|password){_LINK}(?:(?:bearer|basic)\s{{1,3}})?"
    r"|bearer\s{1,3})[A-Za-z0-9._~+/=-]{6,}",
    re.IGNORECASE,
)
_SHAPES: Final = re.compile(
    r"(?:\b|(?<=\\[nrt]))(?:"  # at a word's start, which may follow an escaped line break
    r"(?:sk|pk|rk|gsk|xai|pplx|hf|r8|nvapi|ghp|glpat)[-_][A-Za-z0-9_-]{16,}"
    r"|AIza[A-Za-z0-9_-]{20,}"  # Google
    r"|A(?:KI|SI)A[A-Z0-9]{16}"  # AWS
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # a JSON web token
    r")"
)


def mask_text(text: str) -> str:
    """The text without what looks like a secret in it; JSON stays JSON."""
    return _SHAPES.sub(MASK, _NAMED.sub(_keep_name, text))


def mask_fields(value: object, name: str = "") -> object:
    """A value to be logged, with everything masked that its name, or a name in it, gives away."""
    if isinstance(value, Secret):
        return MASK
    if name and value and _NAME.fullmatch(name.replace("-", "_")):
        return MASK
    if isinstance(value, Mapping):
        return {key: mask_fields(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_fields(item) for item in value]
    return value


def _keep_name(match: re.Match[str]) -> str:
    return match[1] + MASK
