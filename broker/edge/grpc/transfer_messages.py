"""Imports and exports of keys between protobuf and the services."""

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from broker.core.sealed import SealedSecret
from broker.edge.grpc.fields import check_count, check_length, require_name
from broker.edge.grpc.key_messages import read_new_id, read_new_key, read_settings
from broker.edge.grpc.times import timestamp
from broker.ports.key_store import StoredKey, StoredRevision
from broker.services.errors import InvalidFieldError
from broker.services.import_lines import ImportLine, ImportPart, Progress, SealedKey, Wanted
from keybroker.v1 import admin_pb2 as pb
from keybroker.v1 import key_pb2

MAX_PART_KEYS: Final = 500
MAX_REVISIONS: Final = 100

MAX_SEALED_BYTES: Final = 16 * 1024
"""More than the longest secret takes, or a data key that a service wrapped."""

_NO_TIME_S: Final = 253_402_300_800
"""The first epoch second that no calendar has."""


def read_part(message: pb.ImportKeysRequest) -> ImportPart:
    """One message of an import; what is wrong with a key is in its line.

    Raises InvalidFieldError for what is wrong with the message.
    """
    if not message.keys:
        raise InvalidFieldError("keys", "is required")
    check_length("keys", message.keys, MAX_PART_KEYS)
    for index, key in enumerate(message.keys):
        check_count(f"keys[{index}].line", key.line)
    return ImportPart(_lines(message.keys), message.ByteSize(), message.dry_run)


def _lines(keys: Iterable[pb.ImportedKey]) -> Iterator[ImportLine]:
    for key in keys:
        try:
            yield ImportLine(key.line, _wanted(key))
        except InvalidFieldError as error:
            yield ImportLine(key.line, error)


def _wanted(message: pb.ImportedKey) -> Wanted:
    if not message.HasField("sealed"):
        return read_new_key(message)
    if not message.key_id:
        raise InvalidFieldError("key_id", "is required: a sealed secret opens for its key alone")
    revisions = message.sealed.revisions
    if not revisions:
        raise InvalidFieldError("sealed.revisions", "is required")
    check_length("sealed.revisions", revisions, MAX_REVISIONS)
    return SealedKey(
        tenant=require_name("tenant_id", message.tenant_id),
        provider=require_name("provider", message.provider),
        key_id=read_new_id(message.key_id),
        settings=read_settings(message.settings),
        revisions=tuple(map(_revision, revisions)),
    )


def _revision(message: pb.SealedRevision) -> StoredRevision:
    accepted = message.HasField("authenticate_time")
    return StoredRevision(
        require_name("sealed.revision", message.revision),
        SealedSecret(
            require_name("sealed.sealed_by", message.sealed_by),
            _box("sealed.wrapped_key", message.wrapped_key),
            _box("sealed.ciphertext", message.ciphertext),
        ),
        _seconds("sealed.create_time", message.create_time),
        _seconds("sealed.authenticate_time", message.authenticate_time) if accepted else None,
    )


def _box(field: str, data: bytes) -> bytes:
    if not data:
        raise InvalidFieldError(field, "is required")
    if len(data) > MAX_SEALED_BYTES:
        raise InvalidFieldError(field, f"{len(data)} bytes, at most {MAX_SEALED_BYTES}")
    return data


def _seconds(field: str, value: Timestamp) -> float:
    if not (0 < value.seconds < _NO_TIME_S and 0 <= value.nanos < 1_000_000_000):
        raise InvalidFieldError(field, "is required, and no time before 1970")
    return value.seconds + value.nanos / 1e9


def write_progress(progress: Progress) -> pb.ImportKeysResponse:
    """The message of how far an import is."""
    faults = (pb.ImportFault(line=f.line, message=f.message) for f in progress.faults)
    return pb.ImportKeysResponse(
        checked_count=progress.checked,
        faults=faults,
        done=progress.is_done,
        created_count=progress.created,
        untold_fault_count=progress.untold,
    )


def write_exported(key: StoredKey) -> pb.ImportedKey:
    """A key as it is kept: ImportKeys takes it as it is."""
    settings, limits = key.settings, key.settings.limits
    expires_at = settings.expires_at
    return pb.ImportedKey(
        tenant_id=key.tenant,
        provider=key.provider,
        key_id=key.key_id,
        settings=key_pb2.KeySettings(
            weight=settings.weight,
            priority=settings.priority,
            models=settings.models,
            limits=key_pb2.KeyLimits(
                concurrency=limits.concurrency,
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            ),
            account=settings.account,
            expire_time=None if expires_at is None else timestamp(expires_at.timestamp()),
            base_url=settings.base_url,
        ),
        sealed=pb.SealedRevisions(revisions=map(_sealed, key.revisions)),
    )


def _sealed(revision: StoredRevision) -> pb.SealedRevision:
    at = revision.authenticated_at
    return pb.SealedRevision(
        revision=revision.revision,
        sealed_by=revision.sealed.sealed_by,
        wrapped_key=revision.sealed.wrapped_key,
        ciphertext=revision.sealed.ciphertext,
        create_time=timestamp(revision.created_at),
        authenticate_time=None if at is None else timestamp(at),
    )
