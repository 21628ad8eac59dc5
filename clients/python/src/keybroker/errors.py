"""What the client raises.

    KeybrokerError
    ├── Denied                       no key can be leased: an answer of the broker, no fault
    ├── CallTimeoutError             `call` ran out of its time (also a TimeoutError)
    ├── ClientClosedError            the client was closed, or made before a fork
    ├── SettingError                 address, token or CA cannot be used
    └── BrokerError                  a call to the broker failed: code, reason, metadata
        ├── BrokerUnavailable        no answer in time: not reached, draining, its store is down
        ├── TokenRejectedError       no principal has this token
        ├── ForbiddenError           the principal may not do this
        │   ├── RoleMissingError     … because it has none of the roles in `roles`
        │   └── TenantForbiddenError … for the tenant in `tenant_id`
        ├── InvalidRequestError      a field cannot be meant so: `field`, `problem`
        ├── NotFoundError            a name means nothing to this broker
        │   ├── ProviderUnknownError … no such provider; `known_providers` are configured
        │   └── LeaseUnknownError    … not a lease of this principal
        ├── LeaseLostError           the lease is over: acquire a new one
        │   ├── LeaseExpiredError    … its time is over
        │   ├── LeaseEndedError      … a report or a release ended it
        │   └── KeyUnusableError     … its key must not be used any more; `cause` says why
        └── InternalError            a bug in the broker: quote `reference`

A reason that this client does not know falls back on its status code. The two that a correct
program meets and handles, Denied and BrokerUnavailable, are named without `Error`.
"""

from collections.abc import Mapping
from typing import Final

from keybroker.denial import Denial

DRAINING: Final = "DRAINING"
"""The reason of a replica that shuts down: another connection may reach another replica."""


class KeybrokerError(Exception):
    """Everything that this client raises by itself."""


class Denied(KeybrokerError):  # noqa: N818 - an answer, no error: see above
    """No key can be leased; `denial` says why and what to do."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial)
        self.denial = denial
        self.reason = denial.reason
        self.action = denial.action
        self.message = denial.message
        self.retry_delay = denial.retry_delay
        self.alternatives = denial.alternatives
        self.keys_by_state = denial.keys_by_state
        self.help_url = denial.help_url

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else str(self.reason)


class CallTimeoutError(KeybrokerError, TimeoutError):
    """A call, its retries and waits took longer than its caller allowed."""


class ClientClosedError(KeybrokerError):
    """The client was closed, or belongs to the process that this one was forked from."""


class SettingError(KeybrokerError, ValueError):
    """An address, token or CA that cannot be used; the message says what to do."""


class BrokerError(KeybrokerError):
    """A call to the broker failed.

    `code` is the gRPC status code's name, `reason` the rest of an ErrorReason's name ("" when the
    fault is not the broker's own), `metadata` what that reason documents.
    """

    def __init__(
        self,
        message: str,
        code: str = "",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})


class BrokerUnavailable(BrokerError):  # noqa: N818 - see above
    """The broker did not answer in time, however often it was asked."""


class TokenRejectedError(BrokerError):
    """The broker knows no principal with this token."""


class ForbiddenError(BrokerError):
    """The principal is known and may not do this."""


class RoleMissingError(ForbiddenError):
    """The principal has none of the roles that may make this call."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of which one would do."""
        return _list(self.metadata, "roles")


class TenantForbiddenError(ForbiddenError):
    """The principal may not lease for this tenant, or not without one."""

    @property
    def tenant_id(self) -> str:
        """The tenant."""
        return self.metadata.get("tenant_id", "")


class InvalidRequestError(BrokerError):
    """A field is missing, malformed or too large, or contradicts another."""

    @property
    def field(self) -> str:
        """The path of the field, or the fields, separated by commas."""
        return self.metadata.get("field") or self.metadata.get("fields", "")

    @property
    def problem(self) -> str:
        """What is wrong with it."""
        return self.metadata.get("problem", "")


class NotFoundError(BrokerError):
    """A name that means nothing to this broker."""


class ProviderUnknownError(NotFoundError):
    """No provider of this name is configured."""

    @property
    def known_providers(self) -> tuple[str, ...]:
        """Those that are."""
        return _list(self.metadata, "known_providers")


class LeaseUnknownError(NotFoundError):
    """This principal was never granted such a lease here."""


class LeaseLostError(BrokerError):
    """The lease is over: acquire a new one."""


class LeaseExpiredError(LeaseLostError):
    """The lease's time is over."""


class LeaseEndedError(LeaseLostError):
    """A report or a release ended the lease."""


class KeyUnusableError(LeaseLostError):
    """The key must not be used any more, or the lease was revoked."""

    @property
    def cause(self) -> str:
        """`quarantined`, `disabled`, `removed` or `revoked`."""
        return self.metadata.get("cause", "")


class InternalError(BrokerError):
    """A bug in the broker."""

    @property
    def reference(self) -> str:
        """What stands beside the exception in the broker's log."""
        return self.metadata.get("reference", "")


def _list(metadata: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part for part in metadata.get(name, "").split(",") if part)
