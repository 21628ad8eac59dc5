"""What may stand in a table of a key, in TOML or JSON, and what each value must be."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from broker.adapters.sources.attributes import (
    MAX_NUMBER,
    Attributes,
    checked_models,
    checked_name,
    checked_time,
    checked_weight,
    checked_whole,
)
from broker.core.base_url import checked_base_url

_MODELS: Final = 'a list of models or patterns, or a table of model = "provider\'s name for it"'

Problem = tuple[str, str]
"""(path of a field, what is wrong with it)."""


def read_attributes(table: Mapping[str, Any]) -> tuple[Attributes | None, list[Problem]]:
    """A table's attributes, None when one is wrong, and everything that is wrong with them."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field, value in _flat(table):
        read = _READERS.get(field)
        if read is None:
            problems.append((field, f"{_shown(field)} is no field: expected one of {_KNOWN}"))
            continue
        try:
            values[field.removeprefix("limits.")] = read(value)
        except ValueError as error:
            problems.append((field, f"{field} {error}"))
    return (None if problems else Attributes(**values)), problems


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The fields by their paths, without the secret."""
    for field, value in table.items():
        if field == "limits" and isinstance(value, dict):
            yield from ((f"limits.{limit}", cap) for limit, cap in value.items())
        elif field != "secret":
            yield field, value


def _shown(field: str) -> str:
    """The name of an unknown field, unless it could be anything."""
    is_plain = len(field) <= 40 and field.replace("_", "").replace(".", "").isalpha()
    return field if is_plain else "this"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text in quotes")
    return value


def _name(value: object) -> str:
    return checked_name(_text(value))


def _weight(value: object) -> float:
    match value:
        case int() | float() if not isinstance(value, bool):
            return checked_weight(float(min(value, MAX_NUMBER + 1)))
        case _:
            raise ValueError("must be a number")


def _whole(value: object, least: int = 0) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return checked_whole(value if is_whole and isinstance(value, int) else None, least)


def _priority(value: object) -> int:
    return _whole(value, -MAX_NUMBER)


def _models(value: object) -> Mapping[str, str]:
    pairs = [(name, "") for name in value] if isinstance(value, list) else value
    pairs = list(pairs.items()) if isinstance(pairs, dict) else pairs
    if not isinstance(pairs, list) or not pairs or not all(_are_texts(pair) for pair in pairs):
        raise ValueError(f"must be {_MODELS}")
    return checked_models(pairs, _MODELS)


def _are_texts(pair: tuple[object, object]) -> bool:
    return all(isinstance(part, str) for part in pair)


def _expires_at(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    return checked_time(value if isinstance(value, str) else "")


def _limits(_value: object) -> int:
    raise ValueError("must be a table, such as { concurrency = 4 }")


def _base_url(value: object) -> str:
    return checked_base_url(_text(value))


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "account": _name,
    "base_url": _base_url,
    "expires_at": _expires_at,
    "limits": _limits,
    "limits.concurrency": _whole,
    "limits.requests_per_minute": _whole,
    "limits.tokens_per_minute": _whole,
    "models": _models,
    "name": _name,
    "priority": _priority,
    "weight": _weight,
}
_KNOWN: Final = ", ".join(sorted({*_READERS, "secret"} - {"limits"}))
