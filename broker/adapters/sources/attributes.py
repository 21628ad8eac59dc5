"""What may be said about a key beside its secret; every check tells what it wants in words.

No message quotes a value: it could be a secret in the wrong place.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Final

from broker.core.key import KeyLimits

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL: Final = re.compile(r"[^\s\x00-\x1f\x7f=,]{1,256}")
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)"
)
MAX_NUMBER: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Attributes:
    """A key's attributes; what nobody set is as Key has it. `name` "" means one is derived."""

    name: str = ""
    weight: float = 1.0
    priority: int = 0
    models: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    concurrency: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    account: str = ""
    expires_at: datetime | None = None
    base_url: str = ""

    @property
    def limits(self) -> KeyLimits:
        """The caps among them."""
        return KeyLimits(self.concurrency, self.requests_per_minute, self.tokens_per_minute)


def checked_name(text: str) -> str:
    """A name of a key or an account. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-', the first no sign")
    return text


def checked_weight(number: float) -> float:
    """A share of the load. Raises ValueError."""
    if not isfinite(number):
        raise ValueError("must be a finite number")
    if not 0 < number <= MAX_NUMBER:
        raise ValueError("must be a number above 0")
    return number


def checked_whole(number: int | None, least: int) -> int:
    """A whole number; None is what is none. Raises ValueError."""
    if number is None or not least <= number <= MAX_NUMBER:
        raise ValueError(f"must be a whole number from {least} to {MAX_NUMBER}")
    return number


def checked_models(pairs: Iterable[tuple[str, str]], form: str) -> Mapping[str, str]:
    """Models or patterns with the provider's names for them ("": the same). Raises ValueError."""
    models: dict[str, str] = {}
    for pattern, name in pairs:
        if not _MODEL.fullmatch(pattern) or (name and not _MODEL.fullmatch(name)):
            raise ValueError(f"must be {form}")
        if pattern in models:
            raise ValueError("names the same model or pattern twice")
        models[pattern] = name
    return MappingProxyType(models)


def checked_time(text: str) -> datetime:
    """A moment with its zone. Raises ValueError."""
    try:
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # the form is right, but there is no such day or hour
    raise ValueError("must be an RFC 3339 time with its zone, such as 2027-01-31T00:00:00Z")
