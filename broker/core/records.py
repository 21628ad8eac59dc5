"""Facts and snapshots as plain JSON-able dicts, and back: what a log keeps and a fleet shares.

A record names its version and type. Fields that hold their default are left out, so a field may be
added with a default that says what its absence meant; whatever else changes needs a new VERSION.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from broker.core.facts import (
    CallFailed,
    CircuitCleared,
    Fact,
    IncidentChanged,
    MarkAnnounced,
    ProbeEnded,
    RevisionAdopted,
    RevisionRetired,
    TrialEnded,
    UpstreamCounted,
)
from broker.core.snapshot import Snapshot

VERSION = 1

FACT_TYPES: Mapping[str, type[Fact]] = MappingProxyType(
    {
        "call_failed": CallFailed,
        "trial_ended": TrialEnded,
        "probe_ended": ProbeEnded,
        "circuit_cleared": CircuitCleared,
        "revision_retired": RevisionRetired,
        "revision_adopted": RevisionAdopted,
        "upstream_counted": UpstreamCounted,
        "incident_changed": IncidentChanged,
        "mark_announced": MarkAnnounced,
    }
)
"""Each fact's name in records, which stays when a class is renamed."""

_SNAPSHOT = "snapshot"


class RecordError(ValueError):
    """A record is damaged, or of a version or type that this one does not know."""


Record = dict[str, Any]


def fact_record(fact: Fact) -> Record:
    """A fact as a plain dict."""
    return _record(_NAMES[type(fact)], fact)


def fact_of(record: object) -> Fact:
    """The fact that a record holds. Raises RecordError."""
    fact: Fact = _value(record, FACT_TYPES)
    return fact


def snapshot_record(snapshot: Snapshot) -> Record:
    """A snapshot as a plain dict."""
    return _record(_SNAPSHOT, snapshot)


def snapshot_of(record: object) -> Snapshot:
    """The snapshot that a record holds. Raises RecordError."""
    snapshot: Snapshot = _value(record, {_SNAPSHOT: Snapshot})
    return snapshot


def _record(name: str, value: object) -> Record:
    encoded: Record = _CODECS[type(value)].encode(value)
    return {"v": VERSION, "type": name, **encoded}


def _value(record: object, types: Mapping[str, type]) -> Any:  # noqa: ANN401 - one of `types`
    if not isinstance(record, dict):
        raise RecordError("it is no record")
    version, name = record.get("v"), record.get("type")
    if version != VERSION:
        raise RecordError(f"its version is {version!r}, and this one reads {VERSION}")
    kind = types.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RecordError(f"its type {name!r} is unknown")
    return _CODECS[kind].decode(record)


class _Codec(NamedTuple):
    """How values of one type become plain ones, and back."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _codec(hint: Any) -> _Codec:  # noqa: ANN401 - a type, as annotations name it
    """The codec for an annotation of a field."""
    if hint in {str, int, bool, float}:
        return _Codec(lambda value: value, _PLAIN[hint])
    if get_origin(hint) is UnionType:
        return _optional(_codec(get_args(hint)[0]))
    if get_origin(hint) is tuple:
        return _many(_codec(get_args(hint)[0]))
    if issubclass(hint, StrEnum):
        return _Codec(lambda value: value.value, hint)
    return _fields(hint)


def _plain(kind: type) -> Callable[[Any], Any]:
    def decode(value: object) -> object:
        if type(value) is not kind:
            raise RecordError(f"it has a {type(value).__name__} in place of a {kind.__name__}")
        return value

    return decode


def _number(value: object) -> float:
    if type(value) not in {int, float}:
        raise RecordError(f"it has a {type(value).__name__} in place of a number")
    try:
        return float(value)  # type: ignore[arg-type]  # one of the two
    except OverflowError:
        raise RecordError("it has a number that is too large") from None


_PLAIN: Mapping[Any, Callable[[Any], Any]] = {
    str: _plain(str),
    int: _plain(int),
    bool: _plain(bool),
    float: _number,
}


def _optional(inner: _Codec) -> _Codec:
    return _Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda value: None if value is None else inner.decode(value),
    )


def _many(inner: _Codec) -> _Codec:
    def decode(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise RecordError(f"it has a {type(value).__name__} in place of a list")
        return tuple(map(inner.decode, value))

    return _Codec(lambda value: list(map(inner.encode, value)), decode)


def _fields(kind: type) -> _Codec:
    """The codec of a dataclass or named tuple: a dict of what differs from the defaults."""
    hints = get_type_hints(kind)
    names = list(hints)
    defaults = _defaults(kind)
    codecs = {name: _codec(hints[name]) for name in names}

    def encode(value: object) -> Record:
        plain = {}
        for name, codec in codecs.items():
            item = getattr(value, name)
            if name not in defaults or item != defaults[name]:
                plain[name] = codec.encode(item)
        return plain

    def decode(plain: object) -> object:
        if not isinstance(plain, dict):
            raise RecordError(f"it has a {type(plain).__name__} in place of a {kind.__name__}")
        missing = [name for name in names if name not in plain and name not in defaults]
        if missing:
            raise RecordError(f"a {kind.__name__} has no {missing[0]}")
        try:
            known = {name: codecs[name].decode(plain[name]) for name in names if name in plain}
        except RecordError:
            raise
        except ValueError:
            raise RecordError(f"a {kind.__name__} holds a word that is unknown") from None
        return kind(**known)

    return _Codec(encode, decode)


def _defaults(kind: type) -> dict[str, Any]:
    if is_dataclass(kind):
        return {field.name: field.default for field in fields(kind) if field.default is not MISSING}
    defaults: dict[str, Any] = getattr(kind, "_field_defaults", {})
    return defaults


_NAMES = {kind: name for name, kind in FACT_TYPES.items()}
_CODECS: Mapping[type, _Codec] = {kind: _fields(kind) for kind in (*FACT_TYPES.values(), Snapshot)}
