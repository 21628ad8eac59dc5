"""Calls at a rate through the Python client, whatever becomes of them; and what became of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from keybroker import AsyncClient, KeybrokerError
from tests.e2e.conftest import MODELS
from tests.e2e.running import Broker
from tests.integration.edge.conftest import info_of

RATE = 100.0
"""Acquires a second, each with its report."""

MEDIAN_S = 0.1
PROMPT_S = 1.0
"""Within this a caller is told what there is, whatever happens to the database."""

BUSY_S = 1.0
"""What a busy machine may add to the slowest of many calls."""


@dataclass(frozen=True)
class Group:
    """Callers of one kind: `tenant` names the next one's, `status` is what the provider says.

    Without patience they ask once, without the client's retries, so that it is seen how they fail.
    """

    tenant: Callable[[], str] = str
    provider: str = "openai"
    status: int = 200
    is_patient: bool = True


@dataclass
class Ended:
    """What became of the calls of a group; times in seconds."""

    took_s: list[float] = field(default_factory=list)
    failed_s: list[float] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    key_ids: Counter[str] = field(default_factory=Counter)

    @property
    def served(self) -> int:
        return len(self.took_s)

    @property
    def failed(self) -> int:
        return len(self.failed_s)


class Load:
    """Open-loop callers: the next one comes when it is due, not when the last one is done."""

    def __init__(self, broker: Broker, groups: Mapping[str, Group], *, rate: float = RATE) -> None:
        self.ended = {name: Ended() for name in groups}
        self._groups = groups
        self._rate = rate
        self._broker = broker
        self._calls: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._client = AsyncClient(self._broker.address)
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await asyncio.gather(*self._calls)
        await self._client.close()

    @property
    def under_way(self) -> int:
        return len(self._calls)

    def lap(self) -> dict[str, Ended]:
        """What became of the calls that ended since the last lap."""
        lap, self.ended = self.ended, {name: Ended() for name in self._groups}
        return lap

    async def _run(self) -> None:
        names, began = list(self._groups), time.monotonic()
        for number in count():
            await asyncio.sleep(began + number / self._rate - time.monotonic())
            name = names[number % len(names)]
            task = asyncio.create_task(self._call(name, self._groups[name]))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _call(self, name: str, group: Group) -> None:
        began = time.monotonic()
        try:
            call = self._patient_call if group.is_patient else self._call_once
            key_id, acquired_at = await call(group)
        except (KeybrokerError, grpc.aio.AioRpcError) as error:
            ended = self.ended[name]
            ended.failed_s.append(time.monotonic() - began)
            ended.causes[_cause(error)] += 1
            return
        ended = self.ended[name]
        ended.took_s.append(acquired_at - began)
        ended.key_ids[key_id] += 1

    async def _patient_call(self, group: Group) -> tuple[str, float]:
        model, tenant = MODELS[group.provider], group.tenant()
        async with self._client.lease(group.provider, model, tenant=tenant) as lease:
            acquired_at, key_id = time.monotonic(), lease.key_id
            await lease.report(status=group.status)
        return key_id, acquired_at

    async def _call_once(self, group: Group) -> tuple[str, float]:
        gateway = self._broker.gateway
        answer = await gateway.acquire(
            group.provider, MODELS[group.provider], tenant=group.tenant()
        )
        if answer.HasField("denial"):
            return "denied", time.monotonic()
        acquired_at = time.monotonic()
        await gateway.report(answer.lease, gateway.outcome(http_status=group.status))
        return answer.lease.key_id, acquired_at


def _cause(error: KeybrokerError | grpc.aio.AioRpcError) -> str:
    if isinstance(error, KeybrokerError):
        return f"{type(error).__name__}: {error}"
    reason = info_of(error).reason.removeprefix("ERROR_REASON_")
    return f"{error.code().name}: {reason}: {error.details()}"


def in_turn(names: Sequence[str]) -> Callable[[], str]:
    """One name after the other, and again."""
    numbers = count()
    return lambda: names[next(numbers) % len(names)]


def ever_new(prefix: str) -> Callable[[], str]:
    """A name that nobody asked for before."""
    numbers = count()
    return lambda: f"{prefix}-{next(numbers)}"


def at_the_latest(times: Sequence[float], share: float) -> float:
    """The time within which this share of them ended."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def nobody_failed(ended: Mapping[str, Ended], *groups: str) -> None:
    """Every caller of these groups was served, and soon: all but those on a busy machine."""
    for name in groups:
        group = ended[name]
        assert group.failed == 0, (name, group.causes)
        assert group.served > 0, name
        assert at_the_latest(group.took_s, 0.5) < MEDIAN_S, name
        assert max(group.took_s) < PROMPT_S + BUSY_S, name


def all_were_told_soon(ended: Ended) -> None:
    """Of tenants whom nobody knows none was served on a guess; each was told to come again."""
    assert ended.failed > 0
    for cause in ended.causes:
        assert cause.startswith("UNAVAILABLE: STORE_UNAVAILABLE: "), cause
    assert at_the_latest(ended.failed_s, 0.9) < PROMPT_S
    assert max(ended.failed_s) < PROMPT_S + BUSY_S


def memory_of(broker: Broker) -> int:
    """What a broker has in memory, in bytes."""
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
