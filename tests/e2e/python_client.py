"""The Python client at a broker of a story."""

from collections.abc import Awaitable, Callable

import httpx

from keybroker import (
    AsyncLease,
)
from keybroker.v1 import admin_pb2
from simulator.client import generation
from tests.e2e.conftest import World


def address(world: World) -> str:
    """Where the broker is."""
    return f"127.0.0.1:{world.app.grpc_port}"


def asking(world: World) -> Callable[[AsyncLease], Awaitable[httpx.Response]]:
    """A provider call with the leased key."""

    async def run(lease: AsyncLease) -> httpx.Response:
        url, body = generation(lease.provider, lease.base_url, lease.provider_model)
        return await world.gateway.http.post(url, json=body, headers=lease.headers())

    return run


async def heal(world: World) -> None:
    """Let every key be leasable again."""
    world.sim.clear_faults()
    for circuit in (await world.status()).circuits:
        await world.gateway.admin.ClearCircuit(admin_pb2.ClearCircuitRequest(scope=circuit.scope))
