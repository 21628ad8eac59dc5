"""The wire's figures: acquire and report against the same server with nothing in it, in turn."""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import grpc

from keybroker.v1 import lease_pb2, lease_pb2_grpc, outcome_pb2
from tests.benchmarks.measure import Figure

CALLERS = 16
ROUND_S = 1.0
ROUNDS = 7
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Call = Callable[["Server"], Awaitable[object]]


@dataclass
class Server:
    """A server process, and the leases a round of reports will end."""

    stub: "lease_pb2_grpc.LeaseServiceAsyncStub"
    pid: int
    leases: list[str] = field(default_factory=list)

    def cpu_s(self) -> float:
        """CPU time the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@dataclass
class Round:
    """What one round of calls came to."""

    calls_per_s: float
    p99_ms: float
    cpu_us: float


async def wire_figures() -> list[Figure]:
    """Acquire and report, each against the empty server in the same run."""
    async with AsyncExitStack() as stack:
        real = await stack.enter_async_context(_server("real"))
        empty = await stack.enter_async_context(_server("empty"))
        figures = [*await _compare("acquire", _acquire, real, empty)]
        figures += await _compare("report", _report, real, empty)
        return figures


async def _compare(name: str, call: Call, real: Server, empty: Server) -> Iterator[Figure]:
    """Rounds in turn, so that a drifting machine drifts for both; medians of ratios count."""
    pairs = []
    for _ in range(ROUNDS + 1):
        for server in (real, empty):
            await _stock(call, server)
        pairs.append((await _round(call, real), await _round(call, empty)))
    pairs = pairs[1:]  # the first warms up
    rounds = {"": [pair[0] for pair in pairs], "_empty": [pair[1] for pair in pairs]}
    figures = []
    for suffix, ours in rounds.items():
        rate = median(entry.calls_per_s for entry in ours)
        figures.append(Figure(f"{name}{suffix}_calls", rate, "1/s"))
        p99_ms = median(entry.p99_ms for entry in ours)
        figures.append(Figure(f"{name}{suffix}_p99", p99_ms, "ms"))
        cpu_us = median(entry.cpu_us for entry in ours)
        figures.append(Figure(f"{name}{suffix}_server_cpu", cpu_us, "us"))
    ratio = median(ours.calls_per_s / theirs.calls_per_s for ours, theirs in pairs)
    figures.append(Figure(f"{name}_throughput_ratio", ratio, "x"))
    cpu_ratio = median(theirs.cpu_us / ours.cpu_us for ours, theirs in pairs)
    figures.append(Figure(f"{name}_cpu_ratio", cpu_ratio, "x"))
    return iter(figures)


async def _stock(call: Call, server: Server) -> None:
    """Reports need leases: enough that a round does not run out of them."""
    while call is _report and len(server.leases) < 6000:
        await asyncio.gather(*(_acquire(server) for _ in range(CALLERS)))


async def _round(call: Call, server: Server) -> Round:
    times: list[float] = []
    cpu_s, began = server.cpu_s(), time.perf_counter()
    end = began + ROUND_S

    async def caller() -> None:
        while (sent := time.perf_counter()) < end:
            await call(server)
            times.append(time.perf_counter() - sent)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    took_s = time.perf_counter() - began
    p99_ms = sorted(times)[int(len(times) * 0.99)] * 1e3
    return Round(len(times) / took_s, p99_ms, (server.cpu_s() - cpu_s) / len(times) * 1e6)


async def _acquire(server: Server) -> None:
    request = lease_pb2.AcquireLeaseRequest(
        tenant_id="acme", provider="openai", model="gpt-4o", request_id=uuid.uuid4().hex
    )
    answer = await server.stub.AcquireLease(request)
    assert answer.HasField("lease"), answer.denial
    server.leases.append(answer.lease.lease_id)


async def _report(server: Server) -> None:
    if not server.leases:
        await _acquire(server)
    outcome = outcome_pb2.Outcome(
        outcome_id=uuid.uuid4().hex, http_status=200, phase=outcome_pb2.PHASE_COMPLETE
    )
    request = lease_pb2.ReportOutcomeRequest(lease_id=server.leases.pop(), outcome=outcome)
    await server.stub.ReportOutcome(request)


@asynccontextmanager
async def _server(kind: str) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.server", kind, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = int((await process.stdout.readline()).split()[-1])
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Server(lease_pb2_grpc.LeaseServiceStub(channel), process.pid)
    finally:
        process.kill()
        await process.wait()
