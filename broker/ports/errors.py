"""Faults that cross a port: adapters raise these and nothing of their drivers.

PortError
├── StoreUnavailableError   the store did not answer in time, or refused
└── SourceUnavailableError  a key source could not be read at all
"""


class PortError(Exception):
    """Something outside the broker failed; the message is safe to show to an operator."""


class StoreUnavailableError(PortError):
    """The store did not answer in time, or refused; the caller carries on degraded."""


class SourceUnavailableError(PortError):
    """A key source could not be read; what was read before stays in force."""
