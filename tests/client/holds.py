"""The two kinds of held lease behind one door, and the news that a broker pushes to them."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from keybroker import AsyncClient, Client, Outcome
from keybroker.v1 import lease_pb2

SYNCED = lease_pb2.WatchKeysResponse(synced=lease_pb2.WatchSynced(replica="r0"))


def death(cause: str = "QUARANTINED", **fields: Any) -> lease_pb2.WatchKeysResponse:
    """The death of what the fields name."""
    number = lease_pb2.DeathCause.Value(f"DEATH_CAUSE_{cause}")
    return lease_pb2.WatchKeysResponse(death=lease_pb2.Death(cause=number, **fields))


def recovery(cause: str = "QUARANTINED", **fields: Any) -> lease_pb2.WatchKeysResponse:
    """The end of a death."""
    number = lease_pb2.DeathCause.Value(f"DEATH_CAUSE_{cause}")
    return lease_pb2.WatchKeysResponse(recovery=lease_pb2.Recovery(cause=number, **fields))


def use_nothing(_lease: Any) -> None:
    """Leave the lease as it is."""


class HoldDoor(Protocol):
    """A held lease, async or not."""

    async def use(self, body: Callable[[Any], object] = ...) -> str:
        """Run `body` with the lease; report what it returns, unless that is None; the lease id."""


class AsyncHoldDoor:
    def __init__(self, client: AsyncClient, **options: Any) -> None:
        self.hold = client.hold("openai", "gpt-4o", **options)

    async def use(self, body: Callable[[Any], object] = use_nothing) -> str:
        async with self.hold.lease() as lease:
            value = body(lease)
            if value is not None:
                await lease.report(value)
            return str(lease._record.grant.lease_id)  # noqa: SLF001 - shown to nobody else


class SyncHoldDoor:
    def __init__(self, client: Client, **options: Any) -> None:
        self.hold = client.hold("openai", "gpt-4o", **options)

    async def use(self, body: Callable[[Any], object] = use_nothing) -> str:
        def block() -> str:
            with self.hold.lease() as lease:
                value = body(lease)
                if value is not None:
                    lease.report(value)
                return str(lease._record.grant.lease_id)  # noqa: SLF001 - as above

        return await asyncio.to_thread(block)


Opening = Callable[..., Any]


def ok(lease: Any) -> Outcome:
    """A provider call that goes well."""
    lease.headers()
    return Outcome(status=200)
