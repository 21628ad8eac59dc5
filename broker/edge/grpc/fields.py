"""What callers may put into fields; no fault repeats a value, which may be a secret gone astray."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from broker.services.errors import InvalidFieldError

MAX_NAME_BYTES: Final = 256
"""The longest id or name."""

MAX_ITEMS: Final = 100
"""The longest list that nothing else is said of."""

MAX_LEASE_ID_CHARS: Final = 8192

MAX_HEADER_BYTES: Final = 16 * 1024
"""All headers of an outcome together."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_TAB: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_MAX_NANOS: Final = 999_999_999


def check_name(field: str, value: str) -> str:
    """An id or a name, which may be empty."""
    if len(value) <= MAX_NAME_BYTES and value.isascii() and value.isprintable():
        return value
    size = len(value.encode())
    if size > MAX_NAME_BYTES:
        raise InvalidFieldError(field, f"{size} bytes, at most {MAX_NAME_BYTES}")
    if _CONTROL.search(value):
        raise InvalidFieldError(field, "has control characters: remove them")
    return value


def require_name(field: str, value: str) -> str:
    """An id or a name that must be there."""
    if not value:
        raise InvalidFieldError(field, "is required")
    return check_name(field, value)


def require_lease_id(value: str) -> str:
    """A lease id by size; whether it is one, only its signature tells."""
    if not value:
        raise InvalidFieldError("lease_id", "is required: the one that the lease came with")
    if len(value) > MAX_LEASE_ID_CHARS:
        raise InvalidFieldError("lease_id", f"longer than {MAX_LEASE_ID_CHARS} characters")
    return value


def check_names(field: str, values: Sequence[str]) -> tuple[str, ...]:
    """A list of ids or names, none of them empty."""
    if not values:
        return ()
    check_length(field, values)
    return tuple(require_name(f"{field}[{index}]", value) for index, value in enumerate(values))


def check_length(field: str, values: Sequence[object], most: int = MAX_ITEMS) -> None:
    """The length of a list."""
    if len(values) > most:
        raise InvalidFieldError(field, f"{len(values)} items, at most {most}")


def check_count(field: str, value: int, default: int = 0) -> int:
    """A number of things; 0 stands for the default."""
    if value < 0:
        raise InvalidFieldError(field, "is negative: leave it out or give a positive number")
    return value or default


def seconds(field: str, duration: Duration) -> float:
    """A duration that may be zero, in seconds."""
    if not -_MAX_NANOS <= duration.nanos <= _MAX_NANOS:
        raise InvalidFieldError(field, "has nanos beyond a second")
    value = duration.seconds + duration.nanos / 1e9
    if value < 0:
        raise InvalidFieldError(field, "is negative")
    return value


def positive_seconds(field: str, duration: Duration) -> float:
    """A duration longer than zero, in seconds."""
    value = seconds(field, duration)
    if not value:
        raise InvalidFieldError(field, "is zero: leave it out or give a positive duration")
    return value


def check_headers(field: str, headers: Mapping[str, str]) -> dict[str, str]:
    """A response's headers under lower-case names."""
    if len(headers) > MAX_ITEMS:
        raise InvalidFieldError(field, f"{len(headers)} headers, at most {MAX_ITEMS}")
    checked, size = {}, 0
    for name, value in headers.items():
        size += len(name.encode()) + len(value.encode())
        if not name:
            raise InvalidFieldError(field, "has a header without a name")
        if _CONTROL.search(name) or _CONTROL_BUT_TAB.search(value):
            raise InvalidFieldError(field, "has control characters: remove them")
        checked[name.lower()] = value
    if size > MAX_HEADER_BYTES:
        raise InvalidFieldError(
            field, f"{size} bytes, at most {MAX_HEADER_BYTES}: leave out the longest"
        )
    return checked
