"""The client for threads."""

from keybroker.sync.client import Client
from keybroker.sync.hold import Hold
from keybroker.sync.lease import Lease

__all__ = ["Client", "Hold", "Lease"]
