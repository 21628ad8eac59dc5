"""Probes, one queue a provider: evidence wants an answer, a quarantine may be over."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from broker.core.facts import ProbeEnded
from broker.core.fold import Change
from broker.core.key import Key
from broker.core.pace import Pace, take
from broker.core.replica import Logged
from broker.core.words import Family, ProbeResult, State
from broker.ports.clock import Clock
from broker.ports.meter import Meter
from broker.ports.prober import Probed, Prober
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.upstreams import Upstreams

MAX_IN_FLIGHT = 8
PROBES = Pace(per_minute=20 * 60.0, burst=20.0)
"""Per provider: 20 probes a second."""

CLOCK_GRAIN_S = 0.001
"""A wait must not be too short for the clock to tell that it is over."""

RETRY_S = (1.0, 60.0)
"""A probe that proved nothing is made again after this long, doubling from first to last."""


@dataclass(frozen=True, slots=True)
class ProbeDone:
    """One key's probe, how long it took, and how many of how many are done."""

    key: Key
    probed: Probed
    elapsed_s: float
    done: int
    total: int


class _Queue:
    """One provider's probes in flight, and when each key is next worth one."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self.due = 0.0
        self.in_flight: dict[tuple[str, str], asyncio.Task[Probed]] = {}
        self.failures: dict[tuple[str, str], int] = {}
        self.not_before: dict[tuple[str, str], float] = {}


class Probing:
    """Makes the probes that circuits wait for."""

    def __init__(
        self,
        keyring: Keyring,
        health: HealthBook,
        upstreams: Upstreams,
        prober: Prober,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._upstreams = upstreams
        self._prober = prober
        self._clock = clock
        self._meter = meter
        self._queues = {name: _Queue() for name in keyring.providers}
        self._asked: set[str] = set()
        self._news = asyncio.Event()

    def ask(self, key_id: str) -> None:
        """Probe a key soon: something speaks against it that proves nothing."""
        self._asked.add(key_id)
        self._news.set()

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """New evidence is answered at once."""
        if any(change.after and change.after.evidence_at is not None for change in changes):
            self._news.set()

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Nothing: the view says what to probe."""

    async def run(self, interval_s: float) -> None:
        """Start what is due, every `interval_s` and at once when there is new evidence."""
        while True:
            self.start_due()
            self._news.clear()
            waiting = asyncio.ensure_future(self._clock.sleep(interval_s))
            news = asyncio.ensure_future(self._news.wait())
            try:
                await asyncio.wait({waiting, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                news.cancel()

    def start_due(self) -> list[asyncio.Task[Probed]]:
        """Start the probes that are due now and not under way."""
        now = self._clock.now()
        started, paused = [], set()
        for key in list(self._due(now)):
            queue = self._queues[key.provider]
            name = (key.key_id, key.revision)
            if queue.not_before.get(name, 0.0) > now:
                paused.add(key.key_id)
            elif name not in queue.in_flight:
                started.append(self._start(queue, key))
        self._asked &= paused
        return started

    async def probe_now(self, keys: list[Key]) -> AsyncIterator[ProbeDone]:
        """Probe these keys, telling of each as it is done; a probe under way is shared."""
        began = self._clock.now()
        tasks = {}
        for key in keys:
            queue = self._queues[key.provider]
            task = queue.in_flight.get((key.key_id, key.revision))
            tasks[key.key_id] = (key, task or self._start(queue, key))
        waiting = {task: key for key, task in tasks.values()}
        done_count = 0
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                key = waiting.pop(task)
                done_count += 1
                elapsed_s = self._clock.now() - began
                yield ProbeDone(key, task.result(), elapsed_s, done_count, len(tasks))

    async def close(self) -> None:
        """Stop probes under way."""
        tasks = [task for queue in self._queues.values() for task in queue.in_flight.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, now: float) -> Iterator[Key]:
        """Keys asked for, and those whose circuits a probe can decide."""
        names = set(self._asked)
        for record in self._health.circuits():
            scope = record.scope
            if not record.probeable or not self._keyring.holds(scope.key_id, scope.revision):
                continue
            standing = record.standing(now)
            half_open = record.family is Family.CREDENTIAL and standing.state is State.HALF_OPEN
            if half_open or record.evidence_at is not None:
                names.add(scope.key_id)
        for key_id in sorted(names):
            key = self._keyring.find(key_id)
            if key is not None:
                yield key

    def _start(self, queue: _Queue, key: Key) -> asyncio.Task[Probed]:
        name = (key.key_id, key.revision)
        task = asyncio.get_running_loop().create_task(self._probe(queue, key))
        queue.in_flight[name] = task
        task.add_done_callback(lambda _: queue.in_flight.pop(name, None))
        return task

    async def _probe(self, queue: _Queue, key: Key) -> Probed:
        async with queue.slots:
            queue.due, wait_s = take(PROBES, queue.due, 1.0, self._clock.now())
            while wait_s > 0:
                await self._clock.sleep(wait_s + CLOCK_GRAIN_S)
                queue.due, wait_s = take(PROBES, queue.due, 1.0, self._clock.now())
            began = self._clock.now()
            probed = await self._prober.probe(key, self._keyring.provider(key.provider))
            await self._learn(queue, key, probed, began)
        return probed

    async def _learn(self, queue: _Queue, key: Key, probed: Probed, began: float) -> None:
        now = self._clock.now()
        self._meter.probed(key.provider, probed.result)
        self._upstreams.note_probe(key.provider, key.base_url, now, reached=probed.reached)
        name = (key.key_id, key.revision)
        if probed.result is ProbeResult.INCONCLUSIVE:
            failures = queue.failures[name] = queue.failures.get(name, 0) + 1
            queue.not_before[name] = now + min(RETRY_S[0] * 2 ** min(failures - 1, 10), RETRY_S[1])
        else:
            queue.failures.pop(name, None)
            queue.not_before.pop(name, None)
        if probed.result is ProbeResult.AUTHENTICATED:
            self._keyring.note_listed(key.provider, probed.models)
        ended = ProbeEnded(
            fact_id=f"probe/{secrets.token_hex(8)}",
            provider=key.provider,
            replica=self._health.replica,
            lead_s=max(now - began, 0.0),
            key_id=key.key_id,
            revision=key.revision,
            result=probed.result,
            reached=probed.reached,
            detail=probed.detail,
        )
        if self._keyring.holds(key.key_id, key.revision):  # else it has no health any more
            await self._health.submit([ended])
