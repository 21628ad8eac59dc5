"""Faults that cross a port: adapters raise these and nothing of their drivers.

PortError
├── StoreUnavailableError   the store did not answer in time, or refused
│   └── SealUnavailableError  the service that keeps the sealing key did not answer
├── StoreUnusableError      what the store holds cannot be used until a person acts
├── SourceUnavailableError  a key source could not be read at all
├── ReadOnlyError           what is to be changed is another system's
├── KeyTakenError           a key of this id is kept already
├── DuplicateSecretError    another key of the tenant and provider has this secret
├── SealClosedError         there is no sealing key that fits
└── SealBrokenError         a sealed secret does not open
    └── SealKeyMissingError     its sealing key is not at hand
"""


class PortError(Exception):
    """Something outside the broker failed; the message is safe to show to an operator."""


class StoreUnavailableError(PortError):
    """The store did not answer in time, or refused; the caller carries on degraded."""


class SealUnavailableError(StoreUnavailableError):
    """The service that keeps the sealing key did not answer in time, or refused for now."""


class StoreUnusableError(PortError):
    """What the store holds, or where, cannot be used; the message says what a person can do."""


class SourceUnavailableError(PortError):
    """A key source could not be read; what was read before stays in force."""


class ReadOnlyError(PortError):
    """What is to be changed is kept by another system, and is changed there."""


class KeyTakenError(PortError):
    """A key of this id is kept already; of many that were to be kept, `wanted` is the id."""

    def __init__(self, message: str, wanted: str = "") -> None:
        super().__init__(message)
        self.wanted = wanted


class DuplicateSecretError(PortError):
    """Another key of the same tenant and provider has this secret; `key_id` names it.

    Of many keys that were to be kept, `wanted` is the one that has it too.
    """

    def __init__(self, key_id: str, wanted: str = "") -> None:
        super().__init__(f"the same secret as {key_id}")
        self.key_id = key_id
        self.wanted = wanted


class SealClosedError(PortError):
    """The sealing key is missing, or is not the one that sealed what is kept."""


class SealBrokenError(PortError):
    """A sealed secret is damaged, was moved, or was sealed by another key."""


class SealKeyMissingError(SealBrokenError):
    """A sealed secret was sealed by a key that is not at hand; it may open when that is."""
