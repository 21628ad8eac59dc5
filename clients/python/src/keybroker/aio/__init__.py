"""The client for asyncio."""

from keybroker.aio.client import AsyncClient
from keybroker.aio.hold import AsyncHold
from keybroker.aio.lease import AsyncLease

__all__ = ["AsyncClient", "AsyncHold", "AsyncLease"]
