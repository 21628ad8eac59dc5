"""The closed vocabularies of the broker: each word here is the same in code, protos and metrics."""

from enum import StrEnum


class Kind(StrEnum):
    """What the broker concludes about one provider call."""

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


class ScopeKind(StrEnum):
    """How far a verdict reaches; REQUEST reaches nothing that others share."""

    REQUEST = "request"
    KEY_MODEL = "key_model"
    KEY = "key"
    ACCOUNT_MODEL = "account_model"
    ACCOUNT = "account"
    UPSTREAM = "upstream"
    UPSTREAM_PRINCIPAL = "upstream_principal"


class Family(StrEnum):
    """What kind of trouble a circuit records; families never heal each other."""

    LIMIT = "limit"
    QUOTA = "quota"
    CREDENTIAL = "credential"
    ACCESS = "access"
    HEALTH = "health"


class State(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    RAMPING = "ramping"


class Evidence(StrEnum):
    """How sure a verdict is: a recognised field or phrase, or only a bare status."""

    CERTAIN = "CERTAIN"
    WEAK = "WEAK"


class QuotaWindow(StrEnum):
    """The window whose end refills a used-up quota."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Phase(StrEnum):
    """How far the provider call had come when it ended."""

    BEFORE_SEND = "BEFORE_SEND"
    BEFORE_FIRST_BYTE = "BEFORE_FIRST_BYTE"
    MID_STREAM = "MID_STREAM"
    COMPLETE = "COMPLETE"


class TransportError(StrEnum):
    """Why a call got no (whole) HTTP answer; the CALLER_ ones say nothing of the provider."""

    DNS = "DNS"
    CONNECT = "CONNECT"
    TLS = "TLS"
    TIMEOUT = "TIMEOUT"
    RESET = "RESET"
    PROTOCOL = "PROTOCOL"
    OTHER = "OTHER"
    CALLER_DEADLINE = "CALLER_DEADLINE"
    CALLER_CANCELLED = "CALLER_CANCELLED"


class Provenance(StrEnum):
    """Who owns a key: a tenant (database) or the operator (Secrets Manager, environment, file)."""

    TENANT = "TENANT"
    SYSTEM = "SYSTEM"


class ProbeResult(StrEnum):
    """What a probe proved about a key's secret."""

    AUTHENTICATED = "AUTHENTICATED"
    REJECTED = "REJECTED"
    INCONCLUSIVE = "INCONCLUSIVE"


class LeaseState(StrEnum):
    """What a holder may still do with a lease."""

    LIVE = "LIVE"
    ENDED = "ENDED"
    KEY_UNUSABLE = "KEY_UNUSABLE"


class AdviceAction(StrEnum):
    """What a gateway should do after it reported an outcome."""

    RETRY_SAME_KEY = "RETRY_SAME_KEY"
    RETRY_OTHER_KEY = "RETRY_OTHER_KEY"
    SWITCH_MODEL = "SWITCH_MODEL"
    STOP = "STOP"


class DenialReason(StrEnum):
    """Why no key can be leased."""

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
    """What the caller or its operator can do about a denial."""

    FIX_CONFIGURATION = "FIX_CONFIGURATION"
    RETRY_LATER = "RETRY_LATER"
    SWITCH_MODEL = "SWITCH_MODEL"
    FIX_KEYS = "FIX_KEYS"
