"""Stand-ins for the ports: they keep the ports' promises and do what a test tells them."""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import count

from broker.core.facts import Fact
from broker.core.key import Key
from broker.core.provider import Provider
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.core.words import DenialReason, Family, Kind, ProbeResult, Provenance, State
from broker.ports.errors import SourceUnavailableError, StoreUnavailableError
from broker.ports.fact_log import Deliver, FactLog, Lost, no_matter
from broker.ports.key_source import SourceFault, SourceSnapshot
from broker.ports.prober import Probed

START = 1_750_000_000.0
"""Where fake time begins: a Sunday afternoon in June 2025, far from any quota window's end."""

_SETTLE_TURNS = 50
"""Turns of the event loop that let everything run which waits for nothing but time."""


async def settle() -> None:
    """Let every task run until it waits for time or for the outside world."""
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(0)


async def eventually(check: Callable[[], bool], within_s: float = 5.0) -> None:
    """Let the world go on until `check` holds; fails with TimeoutError when it never does."""
    async with asyncio.timeout(within_s):
        while not check():
            await settle()


class FakeClock:
    """Time that stands still until a test moves it."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many calls of `sleep` wait."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def set(self, now: float) -> None:
        """Jump to `now`, which may lie in the past, and wake who slept until then."""
        self._now = now
        while self._sleepers and self._sleepers[0][0] <= now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    def advance(self, seconds: float) -> None:
        """Jump ahead in one step; the woken run when the test next awaits."""
        self.set(self._now + seconds)

    async def elapse(self, seconds: float) -> None:
        """Let time pass as it does: each sleeper wakes at its own time and runs before the next."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.set(max(self._sleepers[0][0], self._now))
            await settle()
        self.set(end)
        await settle()


class FakeFactLog:
    """Another log with a switch: while `is_down`, appends fail; `delay_s` holds them up."""

    def __init__(self, inner: FactLog, clock: FakeClock) -> None:
        self._inner = inner
        self._clock = clock
        self.is_down = False
        self.delay_s = 0.0
        self.appended: list[Logged] = []

    async def append(self, fact: Fact, age_s: float) -> Logged:
        if self.delay_s:
            await self._clock.sleep(self.delay_s)
        if self.is_down:
            raise StoreUnavailableError("the log is switched off")
        logged = await self._inner.append(fact, age_s)
        self.appended.append(logged)
        return logged

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        return await self._inner.follow(provider, after, deliver, lost)

    async def snapshot(self, provider: str) -> Snapshot | None:
        return await self._inner.snapshot(provider)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        if self.is_down:
            raise StoreUnavailableError("the log is switched off")
        await self._inner.save_snapshot(snapshot)


class FakeKeySource:
    """A source that holds what a test puts in."""

    def __init__(
        self,
        keys: Iterable[Key] = (),
        faults: Iterable[SourceFault] = (),
        name: str = "fake",
        *,
        is_remote: bool = False,
    ) -> None:
        self.keys = tuple(keys)
        self.faults = tuple(faults)
        self.previous: tuple[Key, ...] = ()
        self.is_remote = is_remote
        self.is_down = False
        self.loads = 0
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def load(self) -> SourceSnapshot:
        self.loads += 1
        if self.is_down:
            raise SourceUnavailableError("the source is switched off")
        return SourceSnapshot(self.keys, self.faults, self.previous)


class FakeProber:
    """Answers with what `results` holds for a key id, the next one a call; then `default`."""

    def __init__(self, default: ProbeResult = ProbeResult.AUTHENTICATED) -> None:
        self.default = Probed(default, reached=True, detail="fake")
        self.results: dict[str, deque[Probed]] = {}
        self.calls: list[tuple[str, str]] = []
        self.gate: asyncio.Event | None = None
        self.is_closed = False

    def will_find(self, key_id: str, *found: Probed) -> None:
        """Queue what the next probes of a key find."""
        self.results.setdefault(key_id, deque()).extend(found)

    async def probe(self, key: Key, provider: Provider) -> Probed:
        if self.is_closed:
            return Probed(ProbeResult.INCONCLUSIVE, reached=False, detail="closed")
        self.calls.append((key.key_id, key.revision))
        if self.gate is not None:
            await self.gate.wait()
        queued = self.results.get(key.key_id)
        return queued.popleft() if queued else self.default

    async def close(self) -> None:
        self.is_closed = True


class FakeMeter:
    """Counts calls: `counts["denied", "openai", DenialReason.NO_KEYS]`; keeps what was measured."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[object, ...]] = Counter()
        self.acquire_seconds: list[float] = []
        self.open_seconds: list[float] = []

    def granted(self, provider: str, model: str, provenance: Provenance) -> None:
        self.counts["granted", provider, model, provenance] += 1

    def ended(self, how: str) -> None:
        self.counts["ended", how] += 1

    def denied(self, provider: str, reason: DenialReason) -> None:
        self.counts["denied", provider, reason] += 1

    def acquired_in(self, seconds: float) -> None:
        self.acquire_seconds.append(seconds)

    def judged(self, provider: str, model: str, kind: Kind) -> None:
        self.counts["judged", provider, model, kind] += 1

    def judged_unknown(self, provider: str, http_status: int) -> None:
        self.counts["judged_unknown", provider, http_status] += 1

    def transitioned(
        self, provider: str, family: Family, before: State, after: State, reason: str
    ) -> None:
        self.counts["transitioned", provider, family, before, after, reason] += 1

    def recovered(self, family: Family, healed_by: str, open_s: float) -> None:
        self.counts["recovered", family, healed_by] += 1
        self.open_seconds.append(open_s)

    def probed(self, provider: str, result: ProbeResult) -> None:
        self.counts["probed", provider, result] += 1

    def tried_keys(self, keys: int) -> None:
        self.counts["tried_keys", keys] += 1

    def served_from_cache(self, provider: str, model: str, hits: int) -> None:
        self.counts["served_from_cache", provider, model] += hits
