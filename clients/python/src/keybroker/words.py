"""The API's enums as words: each name is the rest of the proto's, its value too."""

from enum import StrEnum
from typing import Protocol, TypeVar

from google.protobuf.descriptor import EnumDescriptor

_UNSPECIFIED = "UNSPECIFIED"

Word = TypeVar("Word", bound=StrEnum)
NumberT_co = TypeVar("NumberT_co", bound=int, covariant=True)


class _Numbers(Protocol[NumberT_co]):
    """A generated enum."""

    @property
    def DESCRIPTOR(self) -> EnumDescriptor: ...  # noqa: N802 - the generated name
    def Value(self, name: str) -> NumberT_co: ...  # noqa: N802 - the generated name


class Provenance(StrEnum):
    """Whose key it is, and so who pays."""

    UNSPECIFIED = "UNSPECIFIED"
    TENANT = "TENANT"
    SYSTEM = "SYSTEM"


class DenialReason(StrEnum):
    """Why no key can be leased; the proto's DenialReason tells each at length."""

    UNSPECIFIED = "UNSPECIFIED"
    NO_KEYS = "NO_KEYS"
    MODEL_NOT_ALLOWED = "MODEL_NOT_ALLOWED"
    ALL_DISABLED = "ALL_DISABLED"
    COOLING_DOWN = "COOLING_DOWN"
    AT_CAPACITY = "AT_CAPACITY"
    TRIAL_BUSY = "TRIAL_BUSY"
    LEASE_QUOTA = "LEASE_QUOTA"
    EXHAUSTED = "EXHAUSTED"
    QUARANTINED = "QUARANTINED"
    TENANT_KEY_UNUSABLE = "TENANT_KEY_UNUSABLE"
    RESTRICTED = "RESTRICTED"
    UPSTREAM_OPEN = "UPSTREAM_OPEN"
    ALL_TRIED = "ALL_TRIED"


class DenialAction(StrEnum):
    """What to do about a denial."""

    UNSPECIFIED = "UNSPECIFIED"
    FIX_CONFIGURATION = "FIX_CONFIGURATION"
    RETRY_LATER = "RETRY_LATER"
    SWITCH_MODEL = "SWITCH_MODEL"
    FIX_KEYS = "FIX_KEYS"


class TransportError(StrEnum):
    """Why a call got no HTTP answer, or no whole one."""

    UNSPECIFIED = "UNSPECIFIED"
    DNS = "DNS"
    CONNECT = "CONNECT"
    TLS = "TLS"
    TIMEOUT = "TIMEOUT"
    RESET = "RESET"
    PROTOCOL = "PROTOCOL"
    OTHER = "OTHER"
    CALLER_DEADLINE = "CALLER_DEADLINE"
    CALLER_CANCELLED = "CALLER_CANCELLED"


class Phase(StrEnum):
    """How far a provider call had come when it ended."""

    UNSPECIFIED = "UNSPECIFIED"
    BEFORE_SEND = "BEFORE_SEND"
    BEFORE_FIRST_BYTE = "BEFORE_FIRST_BYTE"
    MID_STREAM = "MID_STREAM"
    COMPLETE = "COMPLETE"


class VerdictKind(StrEnum):
    """What happened to a provider call; the proto's VerdictKind says what each does to health."""

    UNSPECIFIED = "UNSPECIFIED"
    OK = "OK"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    INVALID_CREDENTIAL = "INVALID_CREDENTIAL"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    OVERLOADED = "OVERLOADED"
    SERVER_ERROR = "SERVER_ERROR"
    UNREACHABLE = "UNREACHABLE"
    REGION_UNSUPPORTED = "REGION_UNSUPPORTED"
    INVALID_REQUEST = "INVALID_REQUEST"
    CONTENT_POLICY = "CONTENT_POLICY"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class AdviceAction(StrEnum):
    """The next step after an outcome."""

    UNSPECIFIED = "UNSPECIFIED"
    RETRY_SAME_KEY = "RETRY_SAME_KEY"
    RETRY_OTHER_KEY = "RETRY_OTHER_KEY"
    SWITCH_MODEL = "SWITCH_MODEL"
    STOP = "STOP"


class LeaseState(StrEnum):
    """What the holder of a lease may still do with it."""

    UNSPECIFIED = "UNSPECIFIED"
    LIVE = "LIVE"
    ENDED = "ENDED"
    KEY_UNUSABLE = "KEY_UNUSABLE"


class DeathCause(StrEnum):
    """Why leases must no longer be used."""

    UNSPECIFIED = "UNSPECIFIED"
    COOLING_DOWN = "COOLING_DOWN"
    EXHAUSTED = "EXHAUSTED"
    QUARANTINED = "QUARANTINED"
    RESTRICTED = "RESTRICTED"
    DISABLED = "DISABLED"
    REMOVED = "REMOVED"
    REVOKED = "REVOKED"
    UPSTREAM_OPEN = "UPSTREAM_OPEN"
    UPSTREAM_DISABLED = "UPSTREAM_DISABLED"


def read_word(words: type[Word], enum: _Numbers[int], number: int) -> Word:
    """The word of a number; UNSPECIFIED for one that a newer broker knows and this client not."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    name = value.name.removeprefix(_prefix(enum.DESCRIPTOR)) if value else _UNSPECIFIED
    return words(name) if name in words.__members__ else words(_UNSPECIFIED)


def write_word(word: StrEnum, enum: _Numbers[NumberT_co]) -> NumberT_co:
    """The number of a word."""
    return enum.Value(_prefix(enum.DESCRIPTOR) + word)


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix(_UNSPECIFIED)
