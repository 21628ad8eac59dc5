"""Python client of Keybroker: leases of provider API keys, and the messages of its API.

`AsyncClient` and `Client` are the two ways in. `keybroker.v1` are the generated messages and stubs.
"""

from keybroker.aio import AsyncClient, AsyncHold, AsyncLease
from keybroker.calling import Attempt, Served
from keybroker.denial import Denial, Target
from keybroker.errors import (
    BrokerError,
    BrokerUnavailable,
    CallTimeoutError,
    ClientClosedError,
    Denied,
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    KeybrokerError,
    KeyUnusableError,
    LeaseEndedError,
    LeaseExpiredError,
    LeaseLostError,
    LeaseUnknownError,
    NotFoundError,
    ProviderUnknownError,
    RoleMissingError,
    SettingError,
    TenantForbiddenError,
    TokenRejectedError,
)
from keybroker.outcome import Outcome, Usage
from keybroker.secret import Secret
from keybroker.sync import Client, Hold, Lease
from keybroker.verdict import Report, Verdict
from keybroker.words import (
    AdviceAction,
    DenialAction,
    DenialReason,
    LeaseState,
    Phase,
    Provenance,
    TransportError,
    VerdictKind,
)

__all__ = [
    "AdviceAction",
    "AsyncClient",
    "AsyncHold",
    "AsyncLease",
    "Attempt",
    "BrokerError",
    "BrokerUnavailable",
    "CallTimeoutError",
    "Client",
    "ClientClosedError",
    "Denial",
    "DenialAction",
    "DenialReason",
    "Denied",
    "ForbiddenError",
    "Hold",
    "InternalError",
    "InvalidRequestError",
    "KeyUnusableError",
    "KeybrokerError",
    "Lease",
    "LeaseEndedError",
    "LeaseExpiredError",
    "LeaseLostError",
    "LeaseState",
    "LeaseUnknownError",
    "NotFoundError",
    "Outcome",
    "Phase",
    "Provenance",
    "ProviderUnknownError",
    "Report",
    "RoleMissingError",
    "Secret",
    "Served",
    "SettingError",
    "Target",
    "TenantForbiddenError",
    "TokenRejectedError",
    "TransportError",
    "Usage",
    "Verdict",
    "VerdictKind",
]
