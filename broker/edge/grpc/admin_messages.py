"""What operators ask for and are told, between protobuf and the services."""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from broker.core.words import Family, Provenance
from broker.edge.grpc.fields import check_name, check_names, require_name
from broker.edge.grpc.key_messages import write_key
from broker.edge.grpc.times import duration, timestamp
from broker.edge.grpc.words import FAMILIES, KEY_STATES, PROBE_RESULTS, PROVENANCES
from broker.ports.event_history import Event
from broker.ports.mark_store import MarkKind
from broker.services.errors import InvalidFieldError
from broker.services.inventory import EventFilter, KeyFilter
from broker.services.paging import Page
from broker.services.probing import ProbeDone
from broker.services.source_reading import SourceReading
from broker.services.standing import KeyState, KeyView
from keybroker.v1 import admin_pb2, event_pb2

MAX_REASON_BYTES: Final = 1024

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REVOKED: Final = {
    "key_id": MarkKind.KEY_REVOKED,
    "tenant_id": MarkKind.TENANT_REVOKED,
    "principal": MarkKind.PRINCIPAL_REVOKED,
}
_PROVENANCES: dict[int, Provenance] = {number: word for word, number in PROVENANCES.items()}
_KEY_STATES: dict[int, KeyState] = {number: state for state, number in KEY_STATES.items()}
_FAMILIES: dict[int, Family] = {number: family for family, number in FAMILIES.items()}

Word = TypeVar("Word")


def read_key_filter(message: admin_pb2.ListKeysRequest) -> KeyFilter:
    """Which keys to list; raises InvalidFieldError."""
    return KeyFilter(
        provider=check_name("provider", message.provider),
        provenance=_word("provenance", _PROVENANCES, message.provenance),
        state=_word("state", _KEY_STATES, message.state),
        tenant=check_name("tenant_id", message.tenant_id),
    )


def read_event_filter(message: admin_pb2.ListEventsRequest) -> EventFilter:
    """Which events to list; raises InvalidFieldError."""
    return EventFilter(
        provider=check_name("provider", message.provider),
        kinds=frozenset(check_names("kinds", message.kinds)),
        since=_instant("since", message.since) if message.HasField("since") else 0.0,
    )


def read_family(message: admin_pb2.ClearCircuitRequest) -> Family | None:
    """The family to clear, None for all; raises InvalidFieldError."""
    return _word("family", _FAMILIES, message.family)


def read_revoked(message: admin_pb2.RevokeLeasesRequest) -> tuple[MarkKind, str]:
    """Whose leases to revoke; raises InvalidFieldError."""
    field = message.WhichOneof("target")
    if field is None:
        raise InvalidFieldError("target", "is required: key_id, tenant_id or principal")
    return _REVOKED[field], require_name(field, getattr(message, field))


def read_reason(value: str) -> str:
    """Why an operator does something, in that operator's words; raises InvalidFieldError."""
    size = len(value.encode())
    if size > MAX_REASON_BYTES:
        raise InvalidFieldError("reason", f"{size} bytes, at most {MAX_REASON_BYTES}")
    if _CONTROL.search(value):
        raise InvalidFieldError("reason", "has control characters: remove them")
    return value


def write_keys(page: Page[KeyView]) -> admin_pb2.ListKeysResponse:
    """The message of a page of keys."""
    keys = [write_key(view) for view in page.items]
    return admin_pb2.ListKeysResponse(keys=keys, next_page_token=page.next_token)


def write_events(page: Page[Event]) -> admin_pb2.ListEventsResponse:
    """The message of a page of events."""
    events = [_event(event) for event in page.items]
    return admin_pb2.ListEventsResponse(events=events, next_page_token=page.next_token)


def write_probe(done: ProbeDone) -> admin_pb2.ProbeKeysResponse:
    """The message of one key's probe."""
    return admin_pb2.ProbeKeysResponse(
        key_id=done.key.key_id,
        revision=done.key.revision,
        provider=done.key.provider,
        result=PROBE_RESULTS[done.probed.result],
        detail=done.probed.detail,
        elapsed=duration(done.elapsed_s),
        done_count=done.done,
        total_count=done.total,
    )


def write_reading(reading: SourceReading) -> admin_pb2.SourceRefresh:
    """The message of one source's reading."""
    refreshed = reading.refreshed
    return admin_pb2.SourceRefresh(
        source=reading.source,
        added_key_ids=sorted(key.key_id for key in refreshed.added),
        changed_key_ids=sorted(new.key_id for _, new in refreshed.changed),
        removed_key_ids=sorted(key.key_id for key in refreshed.removed),
        faults=[f"{fault.place}: {fault.message}" for fault in refreshed.faults],
    )


def _event(event: Event) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=event.event_id,
        time=timestamp(event.at),
        kind=event.kind,
        provider=event.provider,
        key_id=event.key_id,
        model=event.model,
        principal=event.principal,
        message=event.message,
        attributes=event.attributes,
    )


def _word(field: str, words: Mapping[int, Word], number: int) -> Word | None:
    """The word of a number in a filter; None when it is unset."""
    if number and number not in words:
        raise InvalidFieldError(field, "is a number without a name here")
    return words.get(number)


def _instant(field: str, value: Timestamp) -> float:
    if not 0 <= value.nanos < 1_000_000_000:
        raise InvalidFieldError(field, "has nanos beyond a second")
    return value.seconds + value.nanos / 1e9
