"""The fields of a key in a file: their names, and how their values are read from text and JSON.

No message quotes a value: it could be a secret in the wrong place.
"""

import math
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from keybroker.v1 import admin_pb2, key_pb2

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_MODELS: Final = "a comma list of models, patterns or alias=provider-model"

Put: TypeAlias = Callable[[admin_pb2.ImportedKey, Any], None]


def put_text(key: admin_pb2.ImportedKey, name: str, text: str) -> None:
    """Set a field from text, of which "" sets nothing. Raises ValueError with what it must be."""
    if text:
        put, read, _ = FIELDS[name]
        _try(put, key, read(text))


def put_json(key: admin_pb2.ImportedKey, name: str, value: object) -> None:
    """Set a field from a value of JSON; null sets nothing. Raises ValueError."""
    if value is not None:
        put, _, read = FIELDS[name]
        _try(put, key, read(value))


def _try(put: Put, key: admin_pb2.ImportedKey, value: object) -> None:
    try:
        put(key, value)
    except (ValueError, TypeError):  # of protobuf, whose message may quote the value
        raise ValueError("is out of range") from None


def _number(text: str) -> float:
    try:
        return _weight(float(text))
    except ValueError:
        raise ValueError("must be a number above 0") from None


def _json_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number above 0")  # noqa: TRY004 - as all that is read here
    try:
        return _weight(float(value))
    except OverflowError:
        raise ValueError("must be a number above 0") from None


def _weight(number: float) -> float:
    if not (math.isfinite(number) and number > 0):  # 0 would mean that none is set
        raise ValueError("must be a number above 0")
    return number


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _json_whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")  # noqa: TRY004 - as above
    return value


def _time(text: str) -> Timestamp:
    moment = Timestamp()
    try:
        moment.FromJsonString(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except ValueError:
        raise ValueError("must be a time as 2030-01-31 or 2030-01-31T12:00:00Z") from None
    return moment


def _models(text: str) -> dict[str, str]:
    pairs = list(_pairs(text.split(",")))
    models = dict(pairs)
    if len(models) < len(pairs):
        raise ValueError("names the same model or pattern twice")
    return models


def _pairs(parts: list[str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        glob, equals, name = (side.strip() for side in part.partition("="))
        if not glob or (equals and not name):
            raise ValueError(f"must be {_MODELS}")
        yield glob, name


def _json_models(value: object) -> dict[str, str]:
    if isinstance(value, list):
        value = dict.fromkeys(map(_json_text, value), "")
    if not isinstance(value, dict):
        raise ValueError("must be a list of models or patterns, or an object of alias: model")  # noqa: TRY004 - as above
    return {glob: _json_text(name) for glob, name in value.items()}


def _json_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - as above
    return value


def _json_time(value: object) -> Timestamp:
    return _time(_json_text(value))


def _json_sealed(value: object) -> list[admin_pb2.SealedRevision]:
    if not isinstance(value, list):
        raise ValueError("must be a list of revisions, as 'keybroker keys export' writes it")  # noqa: TRY004 - as above
    return [_json_revision(one) for one in value]


def _json_revision(value: object) -> admin_pb2.SealedRevision:
    if not isinstance(value, dict) or not value.keys() <= _REVISION.keys():
        raise ValueError(f"each revision must be an object of {', '.join(_REVISION)}")
    revision = admin_pb2.SealedRevision()
    for name, read in _REVISION.items():
        if value.get(name) is None:
            continue
        try:
            _set(revision, name, read(value[name]))
        except (ValueError, TypeError):
            raise ValueError(f"{name} is not as 'keybroker keys export' writes it") from None
    return revision


def _json_bytes(value: object) -> bytes:
    return b64decode(_json_text(value), validate=True)


def _set(message: Any, name: str, value: object) -> None:  # noqa: ANN401 - any of protobuf's
    if isinstance(value, Timestamp):
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def _own(name: str) -> Put:
    return lambda key, value: _set(key, name, value)


def _setting(name: str) -> Put:
    return lambda key, value: _set(key.settings, name, value)


def _limit(name: str) -> Put:
    return lambda key, value: _set(key.settings.limits, name, value)


def _put_secret(key: admin_pb2.ImportedKey, text: str) -> None:
    key.secret.CopyFrom(key_pb2.SecretValue(plaintext=text))


def _put_models(key: admin_pb2.ImportedKey, models: Mapping[str, str]) -> None:
    key.settings.models.update(models)


def _put_sealed(key: admin_pb2.ImportedKey, revisions: list[admin_pb2.SealedRevision]) -> None:
    key.sealed.revisions.extend(revisions)
    key.sealed.SetInParent()


_Reader: TypeAlias = Callable[[Any], Any]

FIELDS: Final[Mapping[str, tuple[Put, _Reader, _Reader]]] = {
    "tenant_id": (_own("tenant_id"), str, _json_text),
    "provider": (_own("provider"), str, _json_text),
    "secret": (_put_secret, str, _json_text),
    "key_id": (_own("key_id"), str, _json_text),
    "models": (_put_models, _models, _json_models),
    "weight": (_setting("weight"), _number, _json_number),
    "priority": (_setting("priority"), _whole, _json_whole),
    "concurrency": (_limit("concurrency"), _whole, _json_whole),
    "requests_per_minute": (_limit("requests_per_minute"), _whole, _json_whole),
    "tokens_per_minute": (_limit("tokens_per_minute"), _whole, _json_whole),
    "account": (_setting("account"), str, _json_text),
    "expires_at": (_setting("expire_time"), _time, _json_time),
    "base_url": (_setting("base_url"), str, _json_text),
    "sealed": (_put_sealed, str, _json_sealed),
}
"""Each field's place in the message, and how it is read from text and from JSON."""

_REVISION: Final[Mapping[str, Callable[[object], object]]] = {
    "revision": _json_text,
    "sealed_by": _json_text,
    "wrapped_key": _json_bytes,
    "ciphertext": _json_bytes,
    "create_time": _json_time,
    "authenticate_time": _json_time,
}

COLUMNS: Final = tuple(name for name in FIELDS if name != "sealed")
"""What a CSV file may have: what is sealed has no form in it."""
