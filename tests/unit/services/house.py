"""A house of services over fakes, and one-liners for what gateways do to it.

`a_house()` is one replica; several share a log and claims when `beside` names the first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import TypedDict, Unpack

from broker.adapters.memory import (
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryMarkStore,
)
from broker.core.circuit import Circuit
from broker.core.denial import Denial, Target
from broker.core.key import Key
from broker.core.provider import Provider
from broker.core.scope import Scope
from broker.core.words import Family, ProbeResult, State
from broker.ports.claims import Claims
from broker.ports.event_history import Event
from broker.ports.fact_log import FactLog
from broker.ports.prober import Probed
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.alternatives import Alternatives
from broker.services.choosing import Choosing
from broker.services.ending import Ending
from broker.services.granting import Granting
from broker.services.health import HealthBook
from broker.services.incidents import Incidents
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.leasing import Leasing
from broker.services.marks import Marks
from broker.services.outcomes import Outcomes
from broker.services.pacing import LeaseQuotas, Pacing
from broker.services.principal import Principal, Role
from broker.services.probing import Probing
from broker.services.refreshing import Refreshing
from broker.services.reports import Answer, NextRequest, Report
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage
from broker.services.watching import Watching
from tests.fakes import FakeClock, FakeFactLog, FakeKeySource, FakeMeter, FakeProber, settle
from tests.unit.services.answers import Answered
from tests.unit.services.providers import PROVIDERS

GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
OTHER = Principal("other", frozenset({Role.GATEWAY}))
GPT = Target("openai", "gpt-4o")

AUTHENTICATED = Probed(ProbeResult.AUTHENTICATED, reached=True, detail="fake")
REJECTED = Probed(ProbeResult.REJECTED, reached=True, detail="fake")
INCONCLUSIVE = Probed(ProbeResult.INCONCLUSIVE, reached=True, detail="fake")
UNREACHED = Probed(ProbeResult.INCONCLUSIVE, reached=False, detail="fake")

_ids = count()


class Asked(TypedDict, total=False):
    """What a gateway may ask for besides the target."""

    tenant: str
    fallbacks: tuple[Target, ...]
    request_id: str
    attempt: int
    excluded: tuple[str, ...]
    affinity_key: str
    ttl_s: float
    concurrency: int
    estimated_tokens: int


class Flags(TypedDict, total=False):
    """What a gateway may say beside an outcome."""

    keep_lease: bool
    will_retry: bool
    can_replay: bool
    acquire_next: NextRequest | None


@dataclass(slots=True)
class House:
    """One replica's services and the fakes around them."""

    clock: FakeClock
    log: FakeFactLog
    claims: Claims
    source: FakeKeySource
    prober: FakeProber
    meter: FakeMeter
    history: MemoryEventHistory
    keyring: Keyring
    health: HealthBook
    marks: Marks
    upstreams: Upstreams
    usage: Usage
    pacing: Pacing
    book: LeaseBook
    choosing: Choosing
    granting: Granting
    ending: Ending
    watching: Watching
    refreshing: Refreshing
    probing: Probing
    leasing: Leasing
    outcomes: Outcomes
    shared: "Shared"

    async def acquire(
        self, target: Target = GPT, by: Principal = GATEWAY, **asked: Unpack[Asked]
    ) -> Grant | Denial:
        return await self.leasing.acquire(by, replace(AcquireRequest(target), **asked))

    async def lease(
        self, target: Target = GPT, by: Principal = GATEWAY, **asked: Unpack[Asked]
    ) -> Grant:
        """Acquire what is surely granted."""
        answer = await self.acquire(target, by, **asked)
        assert isinstance(answer, Grant), answer
        return answer

    async def denial(
        self, target: Target = GPT, by: Principal = GATEWAY, **asked: Unpack[Asked]
    ) -> Denial:
        """Acquire what is surely denied."""
        answer = await self.acquire(target, by, **asked)
        assert isinstance(answer, Denial), answer
        return answer

    async def report(
        self,
        grant: Grant,
        answered: Answered,
        *,
        by: Principal = GATEWAY,
        outcome_id: str = "",
        **flags: Unpack[Flags],
    ) -> Answer:
        """Report an outcome, under an id of its own unless one is given."""
        outcome = replace(answered, outcome_id=outcome_id or f"o{next(_ids)}")
        return await self.outcomes.report(by, Report(grant.lease_id, outcome, **flags))

    async def call(
        self, answered: Answered, target: Target = GPT, by: Principal = GATEWAY
    ) -> Answer:
        """Acquire, and report how the call went."""
        return await self.report(await self.lease(target, by), answered, by=by)

    async def calls(
        self, times: int, answered: Answered, target: Target = GPT, by: Principal = GATEWAY
    ) -> None:
        """Several requests that all went the same way."""
        for _ in range(times):
            await self.call(answered, target, by)

    async def probe(self) -> None:
        """Let the probes that are due run to their end, as far as the prober lets them."""
        self.probing.start_due()
        await settle()

    async def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, and do what an app does every second."""
        self.clock.advance(seconds)
        now = self.clock.now()
        self.health.sweep(now)
        self.health.append_pending()
        self.watching.on_tick(now)
        await self.ending.sweep()
        await self.health.submit(self.upstreams.publish(now))
        await settle()

    def circuit(self, scope: Scope, family: Family) -> Circuit | None:
        return self.health.circuit(scope, family, self.clock.now())

    def state(self, scope: Scope, family: Family) -> State:
        """Where a circuit stands now; closed when there is no record."""
        record = self.circuit(scope, family)
        return record.standing(self.clock.now()).state if record else State.CLOSED

    def records(self) -> list[tuple[Scope, Family]]:
        return [(record.scope, record.family) for record in self.health.circuits()]

    async def events(self, kind: str = "") -> list[Event]:
        """What operators were told, oldest first; keys that came are no news here."""
        page, _ = await self.history.page(before=None, limit=10_000)
        told = [event for event in reversed(page) if event.kind != "key_added"]
        return [event for event in told if kind in {"", event.kind}]

    async def holds(self, *keys: Key) -> None:
        """The source has exactly these keys now, and is read."""
        self.source.keys = keys
        await self.refreshing.refresh()


@dataclass(slots=True)
class Shared:
    """What the replicas of a fleet have in common."""

    clock: FakeClock = field(default_factory=FakeClock)
    claims: Claims = field(default_factory=MemoryClaims)
    log: FactLog | None = None


async def a_house(
    *keys: Key,
    name: str = "here",
    beside: House | None = None,
    claims: Claims | None = None,
    quotas: LeaseQuotas | None = None,
    providers: Mapping[str, Provider] = PROVIDERS,
    wrap: Callable[[FakeFactLog], FakeFactLog] = lambda log: log,
) -> House:
    """A replica that has read these keys and follows its log."""
    shared = beside.shared if beside else Shared()
    clock = shared.clock
    shared.log = shared.log or MemoryFactLog(clock)
    shared.claims = claims or shared.claims
    house = _wired(shared, wrap(FakeFactLog(shared.log, clock)), providers, name, quotas)
    house.health.follow()
    house.source.keys = keys or (beside.source.keys if beside else ())
    await house.refreshing.refresh()
    return house


def _wired(
    shared: Shared,
    log: FakeFactLog,
    providers: Mapping[str, Provider],
    name: str,
    quotas: LeaseQuotas | None,
) -> House:
    clock, claims, random = shared.clock, shared.claims, Random(7)
    keyring, usage, book, meter = Keyring(providers), Usage(), LeaseBook(), FakeMeter()
    source, prober, history = FakeKeySource(), FakeProber(), MemoryEventHistory()
    health = HealthBook(providers, log, clock, name, keyring.is_known_model)
    marks, journal = Marks(MemoryMarkStore(), clock), Journal(history, meter)
    pacing, upstreams = Pacing(quotas or LeaseQuotas()), Upstreams(health)
    watching = Watching(keyring, health, marks, usage, clock)
    tokens = Tokens.of([b"signing"])
    choosing = Choosing(keyring, health, marks, pacing, random)
    ending = Ending(keyring, health, claims, book, clock, meter)
    granting = Granting(
        keyring, health, choosing, claims, book, pacing, tokens, clock, meter, random
    )
    probing = Probing(keyring, health, upstreams, prober, clock, meter)
    leasing = Leasing(
        keyring=keyring,
        health=health,
        choosing=choosing,
        granting=granting,
        ending=ending,
        alternatives=Alternatives(keyring, choosing),
        upstreams=upstreams,
        book=book,
        marks=marks,
        pacing=pacing,
        tokens=tokens,
        usage=usage,
        journal=journal,
        clock=clock,
        meter=meter,
    )
    outcomes = Outcomes(
        keyring=keyring,
        health=health,
        leasing=leasing,
        ending=ending,
        choosing=choosing,
        upstreams=upstreams,
        probing=probing,
        book=book,
        tokens=tokens,
        usage=usage,
        journal=journal,
        clock=clock,
        meter=meter,
    )
    refreshing = Refreshing([source], keyring, health, watching, journal, clock)
    listeners = (keyring, upstreams, watching, probing, journal, Incidents(keyring, health, usage))
    for listener in listeners:
        health.listen(listener)
    return House(
        clock=clock,
        log=log,
        claims=claims,
        source=source,
        prober=prober,
        meter=meter,
        history=history,
        keyring=keyring,
        health=health,
        marks=marks,
        upstreams=upstreams,
        usage=usage,
        pacing=pacing,
        book=book,
        choosing=choosing,
        granting=granting,
        ending=ending,
        watching=watching,
        refreshing=refreshing,
        probing=probing,
        leasing=leasing,
        outcomes=outcomes,
        shared=shared,
    )
