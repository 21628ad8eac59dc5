"""Many tenants with keys in the database: how long a start takes, a cold acquire, how much memory.

The figures of the disk stand beside: a cold acquire is one read of it.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from statistics import quantiles

import grpc
from sqlalchemy import Connection, insert

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import load_sealer
from broker.adapters.sql import Database
from broker.adapters.sql.rows import policy_values, revision_values, settings_values
from broker.adapters.sql.schema import KEY_REVISIONS, KEYS, TENANT_POLICIES
from broker.core.key import KeySettings
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.sealer import Sealer
from keybroker.v1 import lease_pb2, lease_pb2_grpc
from tests.benchmarks.measure import Figure

TENANTS = 100_000
CACHE_SIZE = 10_000
BATCH = 5_000
COLD = 3_000
FLOOD = 20_000
MANY = 4

FINGERPRINT = b"fingerprint secret of a benchmark"


async def tenant_figures() -> list[Figure]:
    """Fill a database, start a broker on it, and ask for tenants that it has not met."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keybroker.db"
        await _fill(path)
        async with serving(_environ(path)) as (pid, port, start_s):
            before_mb = resident_mb(pid)
            alone_ms = await acquire_each(port, _shuffled(range(COLD)), 1)
            many_ms = await acquire_each(port, _shuffled(range(COLD, 2 * COLD)), MANY)
            after_mb = resident_mb(pid)
            flood = _shuffled(range(2 * COLD, 2 * COLD + FLOOD))
            await acquire_each(port, flood, 8 * MANY)
            full_mb = resident_mb(pid)
    return [
        Figure(f"start with {TENANTS} tenants", start_s, "s"),
        *percentiles("cold acquire, one at a time", alone_ms),
        *percentiles(f"cold acquire, {MANY} at once", many_ms),
        Figure("memory at the start", before_mb, "MiB"),
        Figure(f"memory after {2 * COLD} tenants", after_mb, "MiB"),
        Figure(f"memory after {FLOOD} more, cache of {CACHE_SIZE}", full_mb, "MiB"),
    ]


def percentiles(name: str, took_ms: list[float]) -> list[Figure]:
    """The median and the 99th percentile."""
    cuts = quantiles(took_ms, n=100)
    return [Figure(f"{name}, median", cuts[49], "ms"), Figure(f"{name}, p99", cuts[98], "ms")]


async def _fill(path: Path) -> None:
    """Give every tenant a key, many in one commit."""
    sealer = await load_sealer(KeyFile(path.parent / "seal.key", Purpose.SEAL), frozenset())
    database = await Database.open(path)
    for first in range(0, TENANTS, BATCH):
        keys = [await _key(sealer, number) for number in range(first, first + BATCH)]
        await database.write(partial(_insert, keys=keys))
    await database.close()


async def _key(sealer: Sealer, number: int) -> StoredKey:
    tenant, key_id = f"tenant-{number}", f"key-{number}"
    secret = Secret(f"sk-bench-{number:08}")
    revision = secret.fingerprint(FINGERPRINT)
    sealed = await sealer.seal(secret, Binding(tenant, "openai", key_id, revision))
    revisions = (StoredRevision(revision, sealed, 0.0),)
    return StoredKey(key_id, tenant, "openai", KeySettings(), revisions, 0.0, 0.0)


def _insert(connection: Connection, keys: Sequence[StoredKey]) -> None:
    """As SqlKeyStore.create does it, for many at once."""
    policies = [TenantPolicy(key.tenant, key.provider, PolicyMode.TENANT_ONLY) for key in keys]
    settings = settings_values(KeySettings())
    rows = [
        {
            "key_id": key.key_id,
            "tenant": key.tenant,
            "provider": key.provider,
            "created_at": key.created_at,
            "updated_at": key.updated_at,
            **settings,
        }
        for key in keys
    ]
    connection.execute(insert(KEYS), rows)
    connection.execute(
        insert(KEY_REVISIONS), [revision_values(key, key.revisions[0], 1) for key in keys]
    )
    connection.execute(insert(TENANT_POLICIES), [policy_values(policy) for policy in policies])


def _environ(path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path.cwd()),
        "KEYBROKER_DATABASE": f"sqlite:///{path}",
        "KEYBROKER_TENANT_CACHE_SIZE": str(CACHE_SIZE),
        "KEYBROKER_GRPC_LISTEN": "127.0.0.1:0",
        "KEYBROKER_HTTP_LISTEN": "",
        "KEYBROKER_ENV_FILE": os.devnull,
        "KEYBROKER_LOG_LEVEL": "error",
    }


def _shuffled(numbers: range) -> Iterator[str]:
    """Tenants that lie far apart; each number names another one."""
    order = Random(1).sample(range(TENANTS), TENANTS)
    return (f"tenant-{order[number]}" for number in numbers)


@asynccontextmanager
async def serving(environ: Mapping[str, str]) -> AsyncIterator[tuple[int, int, float]]:
    """A broker of these settings: its process, its port, and seconds until it served."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "broker", "serve"), env=environ, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        first = (await process.stdout.readline()).decode().split()
        yield process.pid, int(first[-1].rpartition(":")[2]), time.monotonic() - began
    finally:
        process.terminate()
        await process.wait()


async def acquire_each(port: int, tenants: Iterator[str], callers: int) -> list[float]:
    """Lease for each of these tenants, so many at a time; milliseconds of each call."""
    took_ms: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = lease_pb2_grpc.LeaseServiceStub(channel)

        async def work() -> None:
            for tenant in tenants:
                request = lease_pb2.AcquireLeaseRequest(
                    tenant_id=tenant, provider="openai", model="gpt-4o"
                )
                began = time.perf_counter()
                answer = await stub.AcquireLease(request)
                took_ms.append((time.perf_counter() - began) * 1e3)
                assert answer.HasField("lease"), answer.denial.reason
                # Else memory would be that of the leases.
                release = lease_pb2.ReleaseLeaseRequest(lease_id=answer.lease.lease_id)
                await stub.ReleaseLease(release)

        await stub.AcquireLease(lease_pb2.AcquireLeaseRequest(provider="openai", model="gpt-4o"))
        await asyncio.gather(*(work() for _ in range(callers)))
    return took_ms


def resident_mb(pid: int) -> float:
    """Memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
