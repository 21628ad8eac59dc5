"""The attributes of a key, each as a text from a variable."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from broker.adapters.sources.attributes import (
    MAX_NUMBER,
    checked_models,
    checked_name,
    checked_time,
    checked_weight,
    checked_whole,
)
from broker.core.base_url import checked_base_url

_MODELS: Final = "a comma list of models, patterns or alias=provider-model"


def read_attribute(attribute: str, text: str) -> object:
    """The value of one attribute; raises ValueError, whose message never quotes the text."""
    reader = _READERS.get(attribute)
    if reader is None:
        raise ValueError(f"is no attribute: expected one of {', '.join(sorted(_READERS))}")
    if not text:
        raise ValueError("has no value")
    return reader(text)


def _weight(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    return checked_weight(number)


def _whole(text: str, least: int) -> int:
    is_number = re.fullmatch(r"[+-]?[0-9]{1,10}", text)
    return checked_whole(int(text) if is_number else None, least)


def _models(text: str) -> Mapping[str, str]:
    return checked_models(_pairs(text), _MODELS)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        pattern, equals, name = (side.strip() for side in part.partition("="))
        if equals and not name:
            raise ValueError(f"must be {_MODELS}")
        yield pattern, name


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "ACCOUNT": checked_name,
    "BASE_URL": checked_base_url,
    "CONCURRENCY": partial(_whole, least=0),
    "EXPIRES_AT": checked_time,
    "MODELS": _models,
    "NAME": checked_name,
    "PRIORITY": partial(_whole, least=-MAX_NUMBER),
    "REQUESTS_PER_MINUTE": partial(_whole, least=0),
    "TOKENS_PER_MINUTE": partial(_whole, least=0),
    "WEIGHT": _weight,
}
