"""Probes, one line a provider: evidence wants an answer, a quarantine may be over.

Results are shared. A probe under way answers everybody who asks for it. For a minute a conclusive
result also answers what is routine (the start, the sentinel) and `ask`, unless evidence against the
revision came after its probe began, or an operator cleared the circuit. Open evidence, half-open
circuits and operators are never answered by an old result.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

from broker.core.circuit import Circuit
from broker.core.facts import CircuitCleared, ProbeEnded, RevisionRetired
from broker.core.fold import Change
from broker.core.key import Key
from broker.core.replica import Logged
from broker.core.scope import key_scope
from broker.core.words import Family, ProbeResult, Provenance, State
from broker.ports.clock import Clock
from broker.ports.meter import Meter
from broker.ports.prober import Probed, Prober
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.probe_line import Lane, Name, ProbeLine
from broker.services.probe_memory import Found, ProbeMemory
from broker.services.upstreams import Upstreams

MAX_WANTED = 10_000
"""Tenants' keys remembered as asked for; a forgotten one is asked for again."""

Listener = Callable[[Key, Probed], None]
"""Told of a key's probe once its result acts; must not block or raise."""


@dataclass(frozen=True, slots=True)
class ProbeDone:
    """One key's probe, how long it took, and how many of how many are done."""

    key: Key
    probed: Probed
    elapsed_s: float
    done: int
    total: int


class Probing:
    """Makes the probes that circuits wait for."""

    def __init__(
        self,
        keyring: Keyring,
        health: HealthBook,
        marks: Marks,
        upstreams: Upstreams,
        prober: Prober,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._upstreams = upstreams
        self._prober = prober
        self._clock = clock
        self._meter = meter
        self._lines = {name: ProbeLine(clock) for name in keyring.providers}
        self._memory = ProbeMemory()
        self._in_flight: dict[Name, asyncio.Task[Probed]] = {}
        self._asked: set[Name] = set()
        self._fresh: dict[Name, Circuit] = {}
        self._wanted: dict[str, float] = {}
        self._listeners: list[Listener] = []
        self._news = asyncio.Event()

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every probe from now on, also of those that proved nothing."""
        self._listeners.append(listener)

    def ask(self, key_id: str, revision: str = "") -> None:
        """Probe a revision ("": the one in use) soon, unless what was found lately tells enough."""
        key = self._keyring.find(key_id)
        if revision or key is not None:
            self._asked.add((key_id, revision or (key.revision if key else "")))
            self._news.set()

    def note_wanted(self, key_id: str) -> None:
        """Somebody asked for a tenant's key and was refused: from now on a probe is worth it."""
        self._wanted.pop(key_id, None)  # the oldest stay first
        self._wanted[key_id] = self._clock.now()
        if len(self._wanted) > MAX_WANTED:
            del self._wanted[next(iter(self._wanted))]

    def proves(self, key: Key) -> bool:
        """Would a probe of the key be made, and could it prove anything?"""
        is_probeable = self._keyring.provider(key.provider).is_probeable
        return is_probeable and not self._marks.disabled_key(key.key_id)

    def found(self, key: Key) -> Found | None:
        """What a probe of the last minute proved about this revision, and nothing contradicts."""
        found = self._memory.found((key.key_id, key.revision), self._clock.now())
        return None if found is None or self._is_doubted(key, found.began) else found

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """New evidence is answered at once."""
        for change in changes:
            if change.after is not None and change.after.evidence_at is not None:
                self._fresh[change.scope.key_id, change.scope.revision] = change.after
                self._news.set()

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Share what other replicas found; forget what does not hold any more."""
        fact = logged.fact
        if isinstance(fact, ProbeEnded) and not own:
            ended = logged.at - logged.age_s
            if fact.result is not ProbeResult.INCONCLUSIVE:
                probed = Probed(fact.result, reached=fact.reached, detail=fact.detail)
                began = ended - max(fact.lead_s, 0.0)
                self._memory.note((fact.key_id, fact.revision), probed, began, ended)
        elif isinstance(fact, RevisionRetired):
            self._memory.forget((fact.key_id, fact.revision))
        elif isinstance(fact, CircuitCleared):
            self._memory.forget((fact.scope.key_id, fact.scope.revision))

    async def run(self, interval_s: float) -> None:
        """Start what is due, every `interval_s`, and what new evidence is about at once."""
        due_at = self._clock.now()
        while True:
            if self._clock.now() >= due_at:
                due_at = self._clock.now() + interval_s
                self.start_due()
            else:  # of thousands of keys rejected in a second each must not have all looked at
                self._start_among(list(self._fresh.values()))
            self._news.clear()
            wait_s = max(due_at - self._clock.now(), 0.0)
            waiting = asyncio.ensure_future(self._clock.sleep(wait_s))
            news = asyncio.ensure_future(self._news.wait())
            try:
                await asyncio.wait({waiting, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                news.cancel()

    def start_due(self) -> list[asyncio.Task[Probed]]:
        """Start the probes that are due now and not under way."""
        return self._start_among(self._health.circuits())

    def _start_among(self, records: Iterable[Circuit]) -> list[asyncio.Task[Probed]]:
        """Start the probes that were asked for, or that these circuits wait for."""
        now = self._clock.now()
        self._memory.sweep(now)
        self._answer_asked()
        started, paused = [], set()
        for key, lane in list(self._due(records, now)):
            name = (key.key_id, key.revision)
            if self._memory.is_pausing(name, now):
                paused.add(name)
            elif name in self._in_flight:
                self._lines[key.provider].hurry(name, lane)
            else:
                started.append(self._start(key, lane))
        self._asked &= paused
        self._fresh.clear()
        return started

    def look_at(self, key: Key) -> None:
        """Probe a key as a routine, unless that is under way or has to wait."""
        name = (key.key_id, key.revision)
        if name not in self._in_flight and not self._memory.is_pausing(name, self._clock.now()):
            _ = self._start(key, Lane.ROUTINE)

    async def probe_now(
        self, keys: Iterable[Key], lane: Lane = Lane.OPERATOR
    ) -> AsyncIterator[ProbeDone]:
        """Probe these keys, telling of each as it is done; a probe under way is shared."""
        began, total, done_count = self._clock.now(), 0, 0
        waiting: dict[asyncio.Task[Probed], Key] = {}
        known: list[tuple[Key, Probed]] = []
        for key in {(key.key_id, key.revision): key for key in keys}.values():
            found = self.found(key) if lane is Lane.ROUTINE else None
            total += 1
            if found is not None:
                known.append((key, found.probed))
            else:
                task = self._in_flight.get((key.key_id, key.revision))
                waiting[task or self._start(key, lane)] = key
        while waiting or known:
            if not known:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                known = [(waiting.pop(task), task.result()) for task in done]
            for key, probed in known:
                done_count += 1
                yield ProbeDone(key, probed, self._clock.now() - began, done_count, total)
            known = []

    async def close(self) -> None:
        """Stop probes under way."""
        for line in self._lines.values():
            line.close()
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _answer_asked(self) -> None:
        """Tell what is known already of what was asked for: that calls for no probe."""
        for name in sorted(self._asked):
            key = self._keyring.revision(*name)
            found = self.found(key) if key is not None else None
            if key is not None and found is not None:
                self._asked.discard(name)
                self._tell(key, found.probed)

    def _due(self, records: Iterable[Circuit], now: float) -> Iterator[tuple[Key, Lane]]:
        """Keys asked for, and those of whose circuits here a probe can decide one."""
        due = dict.fromkeys(self._asked, Lane.EVIDENCE)
        for record in records:
            name = (record.scope.key_id, record.scope.revision)
            lane = self._lane(record, now)
            if lane is not None:
                due[name] = min(lane, due.get(name, lane))
        for name, lane in sorted(due.items()):
            key = self._keyring.revision(*name)
            if key is not None and not self._marks.disabled_key(key.key_id):
                yield key, lane

    def _lane(self, record: Circuit, now: float) -> Lane | None:
        """How urgently a circuit waits for a probe; of tenants' keys only what somebody wants."""
        if not record.probeable:
            return None
        if record.evidence_at is not None:
            return Lane.EVIDENCE
        is_half_open = record.standing(now).state is State.HALF_OPEN
        if record.family is not Family.CREDENTIAL or not is_half_open:
            return None
        key = self._keyring.revision(record.scope.key_id, record.scope.revision)
        if key is not None and key.provenance is Provenance.TENANT:
            wanted_at = self._wanted.get(key.key_id)
            return None if wanted_at is None or wanted_at <= record.opened_at else Lane.CIRCUIT
        return Lane.CIRCUIT

    def _is_doubted(self, key: Key, since: float) -> bool:
        """Did evidence against a revision that no probe has answered come up since?"""
        own = key_scope(key.provider, key.key_id, key.revision)
        return any(
            record.evidence_at is not None and record.evidence_at > since
            for view in self._health.of(key.provider).views
            for scope in (own, *view.model_scopes(key.key_id, key.revision))
            for record in view.families(scope).values()
        )

    def _start(self, key: Key, lane: Lane) -> asyncio.Task[Probed]:
        name = (key.key_id, key.revision)
        task = asyncio.get_running_loop().create_task(self._probe(key, lane))
        self._in_flight[name] = task
        task.add_done_callback(lambda _: self._in_flight.pop(name, None))
        return task

    async def _probe(self, key: Key, lane: Lane) -> Probed:
        async with self._lines[key.provider].turn((key.key_id, key.revision), lane):
            began = self._clock.now()
            probed = await self._prober.probe(key, self._keyring.provider(key.provider))
            await self._learn(key, probed, began)
        return probed

    async def _learn(self, key: Key, probed: Probed, began: float) -> None:
        now = self._clock.now()
        self._meter.probed(key.provider, probed.result)
        self._upstreams.note_probe(key.provider, key.base_url, now, reached=probed.reached)
        if not self._keyring.holds(key.key_id, key.revision):
            return  # it has no health any more
        self._memory.note((key.key_id, key.revision), probed, began, now)
        if probed.result is ProbeResult.AUTHENTICATED:
            self._keyring.models.note_listed(key.provider, probed.models, key.owner)
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
        await self._health.submit([ended])
        self._tell(key, probed)

    def _tell(self, key: Key, probed: Probed) -> None:
        for listener in self._listeners:
            listener(key, probed)
