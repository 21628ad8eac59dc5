"""What stands in the cells of another system's rows; no message quotes a value."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
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

_YES: Final = frozenset({"1", "true", "t", "yes", "y", "on", "active", "enabled"})
_NO: Final = frozenset({"", "0", "false", "f", "no", "n", "off", "inactive", "disabled"})

_MODELS: Final = "a JSON list or object, or models with commas between them"

Cell = object


def is_empty(cell: Cell) -> bool:
    """Does a cell say nothing?"""
    return cell is None or (isinstance(cell, str | bytes) and not cell)


def text_of(cell: Cell) -> str:
    """A text, or what reads as one: a number, a UUID. Raises ValueError."""
    if isinstance(cell, memoryview | bytearray):
        cell = bytes(cell)
    if isinstance(cell, bytes):
        cell = cell.decode()
    if isinstance(cell, float | bool | list | dict):
        raise ValueError("must be a text")  # noqa: TRY004 - one error for whatever is wrong
    return str(cell)


def bytes_of(cell: Cell) -> bytes:
    """A secret's bytes. Raises ValueError."""
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    return text_of(cell).encode()


def is_enabled(cell: Cell) -> bool:
    """Is a key in use; one of which that is not said is not. Raises ValueError."""
    if isinstance(cell, bool):
        return cell
    word = "" if cell is None else text_of(cell).strip().lower()
    if word in _YES | _NO:
        return word in _YES
    raise ValueError("must be true or false")


def time_of(cell: Cell) -> datetime:
    """A moment: a time, epoch seconds, or an RFC 3339 text; without zone it is UTC.

    Raises ValueError.
    """
    if isinstance(cell, datetime):
        return cell if cell.tzinfo is not None else cell.replace(tzinfo=UTC)
    if isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
        try:
            return datetime.fromtimestamp(float(cell), UTC)
        except (OverflowError, OSError):
            raise ValueError("is no time that a calendar has") from None
    text = text_of(cell)
    return checked_time(text if text[10:].strip("0123456789:. T") else f"{text}Z")


def _weight(cell: Cell) -> float:
    try:
        number = float(text_of(cell) if not isinstance(cell, float) else cell)
    except ValueError:
        raise ValueError("must be a number") from None
    return checked_weight(number)


def _priority(cell: Cell) -> int:
    try:
        number = int(text_of(cell)[:12])
    except ValueError:
        raise ValueError("must be a whole number") from None
    return checked_whole(number, -MAX_NUMBER)


def _models(cell: Cell) -> Mapping[str, str]:
    if isinstance(cell, str) and cell.lstrip()[:1] in {"[", "{"}:
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise ValueError(f"must be {_MODELS}") from None
    return checked_models(_pairs(cell), _MODELS)


def _pairs(cell: Cell) -> Iterator[tuple[str, str]]:
    match cell:
        case str():
            for part in filter(None, map(str.strip, cell.split(","))):
                name, _, theirs = part.partition("=")
                yield name.strip(), theirs.strip()
        case dict():
            yield from _texts((name, theirs or "") for name, theirs in cell.items())
        case list() | tuple():
            yield from _texts((name, "") for name in cell)
        case _:
            raise ValueError(f"must be {_MODELS}")


def _texts(pairs: Iterable[tuple[object, object]]) -> Iterator[tuple[str, str]]:
    for name, theirs in pairs:
        if not isinstance(name, str) or not isinstance(theirs, str):
            raise ValueError(f"must be {_MODELS}")  # noqa: TRY004 - one error for whatever is wrong
        yield name, theirs


SETTINGS: Final[Mapping[str, Callable[[Cell], object]]] = {
    "models": _models,
    "weight": _weight,
    "priority": _priority,
    "account": lambda cell: checked_name(text_of(cell)),
    "expires_at": time_of,
    "base_url": lambda cell: checked_base_url(text_of(cell)),
}
"""How each of a key's settings is read; each raises ValueError."""
