"""Traffic: gateways that call every replica in turn, and another one where the first is away."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

import httpx

from broker.cli.demo.providers import MODELS, prompt_for
from broker.cli.drill.plan import PROVIDER
from broker.cli.drill.record import (
    GROUPS,
    OWN_KEY,
    SYSTEM,
    UNTENANTED,
    Call,
    Recorder,
    Result,
    Try,
)
from keybroker import (
    AsyncClient,
    AsyncLease,
    BrokerUnavailable,
    Denial,
    Denied,
    KeybrokerError,
    Served,
)

TENANTS: Final = {OWN_KEY: "drill-own", SYSTEM: "drill-system", UNTENANTED: ""}

CALL_S: Final = 10.0
"""How long a call may take in all, as its caller sees it."""

BROKER_S: Final = 2.0
"""How long one replica is asked before another one is."""

AVOID_S: Final = 1.0
"""How long a replica that did not answer is asked last."""

PAUSE_S: Final = 0.1


class Replicas:
    """The replicas in turn for each group; those that lately did not answer come last."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._clients = {
            name: AsyncClient(address, timeout=BROKER_S) for name, address in addresses.items()
        }
        self._names = list(addresses)
        self._next = dict.fromkeys(GROUPS, 0)
        self._avoided: dict[str, float] = {}

    def turns(self, group: str) -> Iterator[tuple[str, AsyncClient]]:
        """Each replica once, beginning with the next one."""
        first = self._next[group] = (self._next[group] + 1) % len(self._names)
        now = time.monotonic()
        order = self._names[first:] + self._names[:first]
        for name in sorted(order, key=lambda name: self._avoided.get(name, 0.0) > now):
            yield name, self._clients[name]

    def avoid(self, name: str) -> None:
        """A replica did not answer."""
        self._avoided[name] = time.monotonic() + AVOID_S

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))


@dataclass(slots=True)
class Traffic:
    """Every group asks for the same model again and again, whatever comes back.

    `counts` are of all calls so far, by group and result.
    """

    replicas: Replicas
    http: httpx.AsyncClient
    recorder: Recorder
    rate: float
    counts: dict[str, dict[Result, int]] = field(
        default_factory=lambda: {group: dict.fromkeys(Result, 0) for group in GROUPS}
    )
    _random: Random = field(default_factory=lambda: Random(1))
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Send calls at the rate until cancelled; those under way are finished."""
        due = time.monotonic()
        try:
            while True:
                for group in GROUPS:
                    due += self._random.uniform(0.5, 1.5) / self.rate
                    await asyncio.sleep(max(due - time.monotonic(), 0.0))
                    task = asyncio.create_task(self._call(group))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
        finally:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _call(self, group: str) -> None:
        at, tries, reason = self.recorder.now(), list[Try](), ""
        denial: Denial | None = None
        try:
            async with asyncio.timeout(CALL_S):
                served = await self._served(group, tries)
        except Denied as denied:
            result, denial = Result.DENIED, denied.denial
        except (KeybrokerError, httpx.HTTPError, TimeoutError) as error:
            result, reason = Result.BROKEN, type(error).__name__
        else:
            result, denial = Result.SERVED, served.denial
            if not served.response.is_success:
                result, reason = Result.FAILED, f"HTTP {served.response.status_code}"
        self.counts[group][result] += 1
        why = str(denial.reason) if denial else ""
        self.recorder.write(Call(at, self.recorder.now(), group, result, reason, why, tuple(tries)))

    async def _served(self, group: str, tries: list[Try]) -> Served[httpx.Response]:
        """What the first replica that answers makes of the call."""
        while True:
            for name, client in self.replicas.turns(group):
                asked = self.recorder.now()
                try:
                    return await client.call(
                        partial(self._post, name, asked, tries),
                        PROVIDER,
                        MODELS[PROVIDER],
                        tenant=TENANTS[group],
                        timeout=CALL_S,
                    )
                except BrokerUnavailable:
                    self.replicas.avoid(name)
            await asyncio.sleep(PAUSE_S)

    async def _post(
        self, replica: str, asked: float, tries: list[Try], lease: AsyncLease
    ) -> httpx.Response:
        at, status = self.recorder.now(), None
        url, body = prompt_for(lease.provider, lease.base_url, lease.provider_model)
        lease.sent()
        try:
            response = await self.http.post(url, json=body, headers=lease.headers())
            status = response.status_code
            return response
        finally:
            asked = tries[-1].until if tries else asked
            whose = (lease.revision, str(lease.provenance).lower())
            tries.append(Try(replica, *whose, asked, at, self.recorder.now(), status))
