"""Keys and what is set on them, between protobuf and the services; secrets only ever come in."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import translate
from math import isfinite
from types import MappingProxyType
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from broker.core.base_url import checked_base_url
from broker.core.key import KeyLimits, KeySettings
from broker.core.secret import Secret
from broker.edge.grpc.fields import check_count, check_name, require_name
from broker.edge.grpc.shared_messages import write_circuit, write_disablement
from broker.edge.grpc.times import timestamp
from broker.edge.grpc.words import KEY_STATES, PROVENANCES, REVISION_STAGES
from broker.services.errors import InvalidFieldError
from broker.services.keeping import Change, NewKey
from broker.services.standing import KeyView, RevisionView
from keybroker.v1 import admin_pb2, key_pb2

MAX_SECRET_CHARS: Final = 8192
MAX_MODELS: Final = 1000
MAX_WEIGHT: Final = 1e9

_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET: Final = re.compile(r"[!-~]+")

Setting = Callable[[KeySettings, KeySettings], KeySettings]
"""The first settings with one thing as the second have it."""


def read_new_key(message: admin_pb2.CreateKeyRequest | admin_pb2.ImportedKey) -> NewKey:
    """The key to create; raises InvalidFieldError."""
    return NewKey(
        key_id=read_new_id(message.key_id),
        tenant=require_name("tenant_id", message.tenant_id),
        provider=require_name("provider", message.provider),
        secret=read_secret(message.secret),
        settings=read_settings(message.settings),
    )


def read_new_id(key_id: str) -> str:
    """The id that a key shall have, "" for any; raises InvalidFieldError."""
    if key_id and not _KEY_ID.fullmatch(key_id):
        problem = "must be at most 64 letters, digits, '.', '_' or '-', or left out"
        raise InvalidFieldError("key_id", problem)
    return key_id


def read_secret(message: key_pb2.SecretValue) -> Secret:
    """A secret; raises InvalidFieldError, which says nothing of it."""
    plaintext = message.plaintext
    if not plaintext:
        raise InvalidFieldError("secret", "is required")
    if len(plaintext) > MAX_SECRET_CHARS:
        raise InvalidFieldError("secret", f"longer than {MAX_SECRET_CHARS} characters")
    if not _SECRET.fullmatch(plaintext):
        problem = "must be printable ASCII without spaces: a line end may have come along"
        raise InvalidFieldError("secret", problem)
    return Secret(plaintext)


def read_change(message: admin_pb2.UpdateKeyRequest) -> tuple[Change, str]:
    """What an update makes of a key's settings, and what it names; raises InvalidFieldError."""
    paths = tuple(dict.fromkeys(message.update_mask.paths))
    if not paths:
        raise InvalidFieldError("update_mask", "is required: paths of KeySettings")
    unknown = [index for index, path in enumerate(paths) if path not in _SETTINGS]
    if unknown:
        problem = f"is no path of KeySettings: expected one of {', '.join(_SETTINGS)}"
        raise InvalidFieldError(f"update_mask.paths[{unknown[0]}]", problem)
    new = read_settings(message.settings)

    def change(settings: KeySettings) -> KeySettings:
        for path in paths:
            settings = _SETTINGS[path](settings, new)
        return settings

    return change, ",".join(paths)


def write_key(view: KeyView) -> key_pb2.Key:
    """The message of a key: everything about it but its secret."""
    key, limits = view.key, view.key.limits
    return key_pb2.Key(
        key_id=key.key_id,
        provider=key.provider,
        provenance=PROVENANCES[key.provenance],
        owner=key.owner,
        revision=key.revision,
        state=KEY_STATES[view.state],
        account=key.account,
        weight=key.weight,
        priority=key.priority,
        models=key.models,
        limits=key_pb2.KeyLimits(
            concurrency=limits.concurrency,
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
        ),
        expire_time=None if key.expires_at is None else timestamp(key.expires_at.timestamp()),
        disabled=None if view.disabled is None else write_disablement(view.disabled),
        circuits=[write_circuit(circuit) for circuit in view.circuits],
        source=view.source,
        base_url=key.base_url,
        revisions=[_revision(revision) for revision in view.revisions],
        create_time=None if view.created_at is None else timestamp(view.created_at),
        update_time=None if view.updated_at is None else timestamp(view.updated_at),
    )


def _revision(view: RevisionView) -> key_pb2.KeyRevision:
    at = view.authenticated_at
    return key_pb2.KeyRevision(
        revision=view.revision,
        stage=REVISION_STAGES[view.stage],
        authenticated_time=None if at is None else timestamp(at),
    )


def read_settings(message: key_pb2.KeySettings) -> KeySettings:
    """What is set on a key; raises InvalidFieldError."""
    expires = message.expire_time if message.HasField("expire_time") else None
    return KeySettings(
        models=_models(message.models),
        weight=_weight(message.weight),
        priority=message.priority,
        limits=_limits(message.limits),
        account=check_name("settings.account", message.account),
        expires_at=None if expires is None else _instant("settings.expire_time", expires),
        base_url=_base_url(message.base_url),
    )


def _weight(value: float) -> float:
    if not isfinite(value) or not 0 <= value <= MAX_WEIGHT:
        raise InvalidFieldError("settings.weight", "must be a number above 0, at most 1e9")
    return value or 1.0


def _models(models: Mapping[str, str]) -> Mapping[str, str]:
    field = "settings.models"
    if len(models) > MAX_MODELS:
        raise InvalidFieldError(field, f"{len(models)} models, at most {MAX_MODELS}")
    for pattern, name in models.items():
        require_name(field, pattern)
        check_name(field, name)
        try:
            re.compile(translate(pattern))
        except re.error:
            raise InvalidFieldError(field, "has a pattern that is none") from None
    return MappingProxyType(dict(sorted(models.items(), key=_specific_first)))


def _specific_first(model: tuple[str, str]) -> tuple[int, str]:
    """The longest pattern is asked first; a map of protobuf has no order of its own."""
    return -len(model[0]), model[0]


def _limits(message: key_pb2.KeyLimits) -> KeyLimits:
    prefix = "settings.limits"
    return KeyLimits(
        concurrency=check_count(f"{prefix}.concurrency", message.concurrency),
        requests_per_minute=check_count(
            f"{prefix}.requests_per_minute", message.requests_per_minute
        ),
        tokens_per_minute=check_count(f"{prefix}.tokens_per_minute", message.tokens_per_minute),
    )


def _base_url(text: str) -> str:
    try:
        return checked_base_url(text) if text else ""
    except ValueError as error:
        raise InvalidFieldError("settings.base_url", str(error)) from None


def _instant(field: str, value: Timestamp) -> datetime:
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidFieldError(field, "is no time") from None


def _limit(name: str) -> Setting:
    return lambda old, new: replace(
        old, limits=replace(old.limits, **{name: getattr(new.limits, name)})
    )


_SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "weight": lambda old, new: replace(old, weight=new.weight),
        "priority": lambda old, new: replace(old, priority=new.priority),
        "models": lambda old, new: replace(old, models=new.models),
        "limits": lambda old, new: replace(old, limits=new.limits),
        "limits.concurrency": _limit("concurrency"),
        "limits.requests_per_minute": _limit("requests_per_minute"),
        "limits.tokens_per_minute": _limit("tokens_per_minute"),
        "account": lambda old, new: replace(old, account=new.account),
        "expire_time": lambda old, new: replace(old, expires_at=new.expires_at),
        "base_url": lambda old, new: replace(old, base_url=new.base_url),
    }
)
"""What each path of an update mask changes."""
