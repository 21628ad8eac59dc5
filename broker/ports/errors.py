"""Faults that cross a port: adapters raise these and nothing of their drivers.

PortError
├── StoreUnavailableError   the store did not answer in time, or refused
├── StoreUnusableError      what the store holds cannot be used until a person acts
├── SourceUnavailableError  a key source could not be read at all
├── KeyTakenError           a key of this id is kept already
├── DuplicateSecretError    another key of the tenant and provider has this secret
├── SealClosedError         there is no sealing key that fits
└── SealBrokenError         a sealed secret does not open
"""


class PortError(Exception):
    """Something outside the broker failed; the message is safe to show to an operator."""


class StoreUnavailableError(PortError):
    """The store did not answer in time, or refused; the caller carries on degraded."""


class StoreUnusableError(PortError):
    """What the store holds, or where, cannot be used; the message says what a person can do."""


class SourceUnavailableError(PortError):
    """A key source could not be read; what was read before stays in force."""


class KeyTakenError(PortError):
    """A key of this id is kept already."""


class DuplicateSecretError(PortError):
    """Another key of the same tenant and provider has this secret; `key_id` names it."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the same secret as {key_id}")
        self.key_id = key_id


class SealClosedError(PortError):
    """The sealing key is missing, or is not the one that sealed what is kept."""


class SealBrokenError(PortError):
    """A sealed secret is damaged, was moved, or was sealed by another key."""
