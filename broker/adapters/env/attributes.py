"""What may be said about a key beside its secret, each as a text from a variable."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from math import isfinite
from types import MappingProxyType
from typing import Final

from broker.core.base_url import checked_base_url
from broker.core.key import KeyLimits

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL: Final = re.compile(r"[^\s\x00-\x1f\x7f=,]{1,256}")
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)"
)
_MAX_NUMBER: Final = 1_000_000_000


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


def read_attribute(attribute: str, text: str) -> object:
    """The value of one attribute; raises ValueError, whose message never quotes the text."""
    reader = _READERS.get(attribute)
    if reader is None:
        raise ValueError(f"is no attribute: expected one of {', '.join(sorted(_READERS))}")
    if not text:
        raise ValueError("has no value")
    return reader(text)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-', the first no sign")
    return text


def _weight(text: str) -> float:
    weight = _number(text)
    if not 0 < weight <= _MAX_NUMBER:
        raise ValueError("must be a number above 0")
    return weight


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if not isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _whole(text: str, least: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text) or not least <= int(text) <= _MAX_NUMBER:
        raise ValueError(f"must be a whole number from {least} to {_MAX_NUMBER}")
    return int(text)


def _models(text: str) -> Mapping[str, str]:
    models: dict[str, str] = {}
    for part in text.split(","):
        pattern, equals, name = (side.strip() for side in part.partition("="))
        if not _MODEL.fullmatch(pattern) or (equals and not _MODEL.fullmatch(name)):
            raise ValueError("must be a comma list of models, patterns or alias=provider-model")
        if pattern in models:
            raise ValueError("names the same model or pattern twice")
        models[pattern] = name
    return MappingProxyType(models)


def _expires_at(text: str) -> datetime:
    try:
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # the form is right, but there is no such day or hour
    raise ValueError("must be an RFC 3339 time with its zone, such as 2027-01-31T00:00:00Z")


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "ACCOUNT": _name,
    "BASE_URL": checked_base_url,
    "CONCURRENCY": partial(_whole, least=0),
    "EXPIRES_AT": _expires_at,
    "MODELS": _models,
    "NAME": _name,
    "PRIORITY": partial(_whole, least=-_MAX_NUMBER),
    "REQUESTS_PER_MINUTE": partial(_whole, least=0),
    "TOKENS_PER_MINUTE": partial(_whole, least=0),
    "WEIGHT": _weight,
}
