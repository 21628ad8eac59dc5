"""A million tenants in PostgreSQL: the start, a cold acquire above the database's own time, memory.

The database's own time is that of the same questions, asked by a client that does nothing else.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesSealer
from broker.adapters.sql.rows import settings_values
from broker.core.key import KeySettings
from broker.core.sealed import Binding
from broker.core.secret import Secret
from simulator.postgres import Postgres
from tests.benchmarks.measure import Figure
from tests.benchmarks.tenants import acquire_each, percentiles, resident_mb, serving

TENANTS = 1_000_000
CACHE_SIZE = 10_000
COLD = 3_000
FLOOD = 20_000
MANY = 4

FINGERPRINT = "fingerprint secret of a benchmark"

_QUESTIONS = (
    "SELECT * FROM tenant_policies WHERE tenant = %s",
    "SELECT * FROM keys WHERE tenant = %s ORDER BY provider, key_id",
    "SELECT * FROM key_revisions WHERE tenant = %s ORDER BY rank DESC",
)
"""What is asked of a tenant that is not at hand, as SqlKeyStore does it."""


async def million_figures() -> list[Figure]:
    """Fill a database, start a broker on it, and ask for tenants that it has not met."""
    with tempfile.TemporaryDirectory() as folder, Postgres() as server:
        url = server.url()
        seal_key = Path(folder) / "seal.key"
        environ = _environ(url, seal_key)
        _run("seal", "init", str(seal_key), environ=environ)
        _run("db", "upgrade", environ=environ)
        filled_s = await _fill(url, seal_key)
        own_ms = _ask_alone(url, range(COLD))
        async with serving(environ) as (pid, port, start_s):
            before_mb = resident_mb(pid)
            alone_ms = await acquire_each(port, _shuffled(range(COLD, 2 * COLD)), 1)
            many_ms = await acquire_each(port, _shuffled(range(2 * COLD, 3 * COLD)), MANY)
            await acquire_each(port, _shuffled(range(3 * COLD, 3 * COLD + FLOOD)), 8 * MANY)
            full_mb = resident_mb(pid)
            await acquire_each(port, _shuffled(range(100_000, 100_000 + FLOOD)), 8 * MANY)
            twice_mb = resident_mb(pid)
    own, alone = percentiles("the same questions alone", own_ms), percentiles("cold", alone_ms)
    above_ms = alone[-1].value - own[-1].value
    return [
        Figure(f"PostgreSQL: {TENANTS} tenants filled in", filled_s, "s"),
        Figure(f"PostgreSQL: start with {TENANTS} tenants", start_s, "s"),
        *percentiles("PostgreSQL: the questions of a cold acquire alone", own_ms),
        *percentiles("PostgreSQL: cold acquire, one at a time", alone_ms),
        Figure("PostgreSQL: cold acquire above the database's own time, p99", above_ms, "ms"),
        *percentiles(f"PostgreSQL: cold acquire, {MANY} at once", many_ms),
        Figure("PostgreSQL: memory at the start", before_mb, "MiB"),
        Figure(f"PostgreSQL: memory, cache of {CACHE_SIZE}, {FLOOD} tenants", full_mb, "MiB"),
        Figure(f"PostgreSQL: memory, {FLOOD} other tenants later", twice_mb, "MiB"),
    ]


def _environ(url: str, seal_key: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path.cwd()),
        "KEYBROKER_DATABASE": url,
        "KEYBROKER_SEAL_KEY_FILE": str(seal_key),
        "KEYBROKER_LEASE_SECRETS": "l" * 32,
        "KEYBROKER_FINGERPRINT_SECRET": FINGERPRINT,
        "KEYBROKER_TENANT_CACHE_SIZE": str(CACHE_SIZE),
        "KEYBROKER_GRPC_LISTEN": "127.0.0.1:0",
        "KEYBROKER_HTTP_LISTEN": "",
        "KEYBROKER_ENV_FILE": os.devnull,
        "KEYBROKER_LOG_LEVEL": "error",
    }


def _run(*arguments: str, environ: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "broker", *arguments], env=environ, check=True)


async def _fill(url: str, seal_key: Path) -> float:
    """Give every tenant a key of its own, really sealed; seconds that it took."""
    keys = KeyFile(seal_key, Purpose.SEAL).read()
    assert keys is not None
    began, sealer = time.monotonic(), AesSealer.of_keys(*keys)
    settings = settings_values(KeySettings())
    names, values = ", ".join(settings), tuple(settings.values())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # nobody has to be told yet
        cursor = connection.cursor()
        with cursor.copy(
            f"COPY keys (key_id, tenant, provider, created_at, updated_at, {names}) FROM STDIN"
        ) as copy:
            for number in range(TENANTS):
                copy.write_row((f"key-{number}", f"tenant-{number}", "openai", 0.0, 0.0, *values))
        with cursor.copy(
            "COPY key_revisions (key_id, revision, tenant, provider, rank, sealed_by, wrapped_key,"
            " ciphertext, created_at) FROM STDIN"
        ) as copy:
            for number in range(TENANTS):
                key_id, tenant = f"key-{number}", f"tenant-{number}"
                secret = Secret(f"sk-bench-{number:08}")
                revision = secret.fingerprint(FINGERPRINT.encode())
                sealed = await sealer.seal(secret, Binding(tenant, "openai", key_id, revision))
                cipher = (sealed.sealed_by, sealed.wrapped_key, sealed.ciphertext)
                copy.write_row((key_id, revision, tenant, "openai", 1, *cipher, 0.0))
        with cursor.copy(
            "COPY tenant_policies (tenant, provider, mode, fall_through, set_by, set_at) FROM STDIN"
        ) as copy:
            for number in range(TENANTS):
                policy = ("openai", "TENANT_ONLY", "[]", "benchmark", 0.0)
                copy.write_row((f"tenant-{number}", *policy))
        connection.execute("VACUUM ANALYZE")
    return time.monotonic() - began


def _ask_alone(url: str, numbers: range) -> list[float]:
    """Milliseconds of the questions of a cold acquire, in one transaction each."""
    took_ms = []
    with psycopg.connect(url) as connection:
        connection.prepare_threshold = 0
        for tenant in _shuffled(numbers):
            began = time.perf_counter()
            with connection.transaction():
                for question in _QUESTIONS:
                    connection.execute(question, (tenant,)).fetchall()
            took_ms.append((time.perf_counter() - began) * 1e3)
    return took_ms


def _shuffled(numbers: range) -> Iterator[str]:
    """Tenants that lie far apart; each number names another one."""
    order = Random(1).sample(range(TENANTS), 200_000)
    return (f"tenant-{order[number]}" for number in numbers)
