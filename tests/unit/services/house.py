"""A house of services over fakes, and one-liners for what gateways do to it.

`a_house()` is one replica; those `beside` another share its log, claims and clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TypedDict, Unpack

from broker.adapters.memory import (
    MemoryAgreements,
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryKeyStore,
    MemoryLastGoodStore,
    MemoryMarkStore,
    MemorySealedRows,
)
from broker.adapters.seal import AesSealer
from broker.app.core import Core, wire
from broker.app.world import World
from broker.core.circuit import Circuit
from broker.core.denial import Denial, Target
from broker.core.health import Counts
from broker.core.key import Key
from broker.core.outcome import Outcome
from broker.core.provider import Provider
from broker.core.scope import Scope, Upstream
from broker.core.words import DenialReason, Family, ProbeResult, State
from broker.ports.claims import Claims
from broker.ports.event_history import Event
from broker.ports.fact_log import FactLog
from broker.ports.prober import Probed
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.pacing import LeaseQuotas
from broker.services.principal import Principal, Role
from broker.services.reports import Answer, NextRequest, Report
from tests.fakes import FakeClock, FakeFactLog, FakeKeySource, FakeMeter, FakeProber, settle
from tests.unit.services.answers import GPT, PROVIDERS

GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
OTHER = Principal("other", frozenset({Role.GATEWAY}))

AUTHENTICATED = Probed(ProbeResult.AUTHENTICATED, reached=True, detail="fake")
REJECTED = Probed(ProbeResult.REJECTED, reached=True, detail="fake")
INCONCLUSIVE = Probed(ProbeResult.INCONCLUSIVE, reached=True, detail="fake")
UNREACHED = Probed(ProbeResult.INCONCLUSIVE, reached=False, detail="fake")

SECRET = b"signing"
KEYS_TOLD = {"source_read", "key_added"}
"""Events that each house begins with."""

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


@dataclass(frozen=True, slots=True)
class House:
    """One replica's services, and the fakes around them."""

    core: Core
    shared_log: FactLog
    clock: FakeClock
    log: FakeFactLog
    source: FakeKeySource
    prober: FakeProber
    meter: FakeMeter

    async def acquire(
        self, target: Target = GPT, by: Principal = GATEWAY, **asked: Unpack[Asked]
    ) -> Grant | Denial:
        request = replace(AcquireRequest(target), **asked)
        return await self.core.leasing.acquire(by, request)

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

    async def refused(
        self, target: Target = GPT, by: Principal = GATEWAY, **asked: Unpack[Asked]
    ) -> DenialReason:
        """Why an acquire is surely denied."""
        return (await self.denial(target, by, **asked)).reason

    async def report(
        self,
        grant: Grant,
        outcome: Outcome,
        by: Principal = GATEWAY,
        **flags: Unpack[Flags],
    ) -> Answer:
        """Report an outcome, under an id of its own unless it has one."""
        named = replace(outcome, outcome_id=outcome.outcome_id or f"o{next(_ids)}")
        return await self.core.outcomes.report(by, Report(grant.lease_id, named, **flags))

    async def call(self, outcome: Outcome, target: Target = GPT, by: Principal = GATEWAY) -> Answer:
        """Acquire, and report how the call went."""
        return await self.report(await self.lease(target, by), outcome, by)

    async def calls(
        self, times: int, outcome: Outcome, target: Target = GPT, by: Principal = GATEWAY
    ) -> None:
        """Several requests that all went the same way."""
        for _ in range(times):
            await self.call(outcome, target, by)

    async def probe(self) -> None:
        """Let the probes that are due run, as far as the prober lets them."""
        self.core.probing.start_due()
        await settle()

    async def tick(self, seconds: float = 0.0) -> None:
        """Let time pass in one step, then do what an app does every second."""
        self.clock.advance(seconds)
        core, now = self.core, self.clock.now()
        core.health.sweep(now)
        core.health.append_pending()
        core.watching.on_tick(now)
        await core.ending.sweep()
        await core.health.submit(core.upstreams.publish(now))
        await settle()

    async def has_keys(self, *keys: Key) -> None:
        """The source holds exactly these keys, and is read."""
        self.source.keys = keys
        await self.core.refreshing.refresh()

    def circuit(self, scope: Scope, family: Family) -> Circuit | None:
        return self.core.health.circuit(scope, family, self.clock.now())

    def state(self, scope: Scope, family: Family) -> State:
        """Where a circuit stands now; closed when there is no record."""
        record = self.circuit(scope, family)
        return record.standing(self.clock.now()).state if record else State.CLOSED

    def counts(self, target: Target = GPT) -> Counts:
        """What an upstream's window holds, over all principals and replicas."""
        upstream, total = Upstream(target.provider, "", target.model), Counts()
        for counts in self.core.upstreams.totals(upstream, self.clock.now()).values():
            total = total.plus(counts)
        return total

    def slots_in_use(self, key: Key) -> int:
        return self.core.world.claims.slots_in_use(key.provider, key.key_id, self.clock.now())

    async def events(self, kind: str = "") -> list[Event]:
        """What operators were told, oldest first; which keys there are is no news here."""
        page, _ = await self.core.world.history.page(before=None, limit=10_000)
        told = [event for event in reversed(page) if event.kind not in KEYS_TOLD]
        return [event for event in told if kind in {"", event.kind}]


async def a_house(
    *keys: Key,
    name: str = "here",
    beside: House | None = None,
    claims: Claims | None = None,
    quotas: LeaseQuotas | None = None,
    providers: Mapping[str, Provider] = PROVIDERS,
) -> House:
    """A replica that has read these keys, or those of the one `beside`, and follows the log."""
    clock = beside.clock if beside else FakeClock()
    shared_log = beside.shared_log if beside else MemoryFactLog(clock)
    shared_claims = beside.core.world.claims if beside else MemoryClaims()
    log, meter, prober = FakeFactLog(shared_log, clock), FakeMeter(), FakeProber()
    source = FakeKeySource(keys or (beside.source.keys if beside else ()))
    key_store, last_good = MemoryKeyStore(), MemoryLastGoodStore()
    world = World(
        replica=name,
        clock=clock,
        sources=[source],
        prober=prober,
        log=log,
        claims=claims or shared_claims,
        mark_store=MemoryMarkStore(),
        key_store=key_store,
        last_good=last_good,
        sealer=AesSealer.of_keys(bytes(32)),
        sealed_rows=MemorySealedRows(key_store, last_good),
        agreements=MemoryAgreements(),
        history=MemoryEventHistory(),
        make_meter=lambda _models, _gauges: meter,
        secrets=(SECRET,),
        fingerprint_secret=b"fingerprint",
        quotas=quotas or LeaseQuotas(),
    )
    core = wire(providers, world)
    await core.health.follow()
    await core.refreshing.refresh()
    return House(core, shared_log, clock, log, source, prober, meter)
