"""How the keys, the providers and this replica are: one consistent moment, or one a second."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from broker.core.health import Counts
from broker.core.scope import Upstream
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.mark_store import Mark
from broker.ports.sealer import Sealer
from broker.services.boot import Boot
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.refreshing import Refreshing
from broker.services.standing import CircuitView, KeyState, Standings
from broker.services.tenant_sources import TenantSources
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage

MAX_CIRCUITS = 1000
"""Circuits that one status shows; it counts the rest."""

WATCH_S = 1.0
"""A watcher is told at most this often."""

GLANCE_S = 0.5
"""Watchers share one look within this time: a thousand of them must not cost a thousand looks."""


@dataclass(frozen=True, slots=True)
class Replica:
    """Who answers: its name, the broker's version, its start in epoch seconds."""

    name: str
    version: str
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """How one provider's keys are; `last_success` is None when there was none since the start."""

    provider: str
    dialect: str
    is_runnable: bool
    keys_by_state: Mapping[KeyState, int]
    last_success: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStatus:
    """Keys that were rejected together; `used` counts those in use then, rejected or not."""

    provider: str
    provenance: Provenance
    since: float
    key_ids: tuple[str, ...]
    used: int

    @property
    def message(self) -> str:
        """What happened, for a person."""
        whose = "tenants'" if self.provenance is Provenance.TENANT else "system"
        return (
            f"{self.provider} rejected {len(self.key_ids)} of {self.used} {whose} keys in use"
            " within a minute: look for one cause, such as a rotation or a closed account"
        )


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """How one upstream did in its present window."""

    upstream: Upstream
    succeeded: int
    failed: int

    @classmethod
    def of(cls, upstream: Upstream, counts: Counts) -> "UpstreamStatus":
        """The status of signed counts, some of which may still be missing their other half."""
        failed = max(counts.failed, 0) + max(counts.unreachable, 0)
        return cls(upstream, max(counts.succeeded, 0), failed)

    @property
    def uptime(self) -> float:
        """The share that succeeded; 1 when there were none."""
        total = self.succeeded + self.failed
        return self.succeeded / total if total else 1.0


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How one source of keys is; `read_at` is its last good reading.

    What it said may come from the copy of an earlier reading, and is too old from `expires_at` on.
    The faults of one that is `is_of_tenants` name tenants and their keys, which are not counted.
    """

    source: str
    key_count: int
    faults: tuple[str, ...]
    is_from_copy: bool
    is_stale: bool
    read_at: float | None = field(compare=False)  # read again and found the same is no change
    expires_at: float | None = field(compare=False)
    is_of_tenants: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """Everything at one moment, `at`; two are equal when nothing but time lies between them.

    `store_fault` and `seal_fault` say what is wrong with them, "" when nothing is.
    """

    at: float = field(compare=False)
    providers: tuple[ProviderStatus, ...]
    is_emergency: bool
    circuits: tuple[CircuitView, ...]
    circuit_count: int
    incidents: tuple[IncidentStatus, ...]
    upstreams: tuple[UpstreamStatus, ...]
    disabled_upstreams: tuple[Mark, ...]
    sources: tuple[SourceStatus, ...]
    is_store_up: bool
    store_kind: str
    store_fault: str
    seal_fault: str
    pending_facts: int
    lag_s: float = field(compare=False)
    replica: Replica
    not_ready: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Answers how things are from what this replica knows; waits for nobody."""

    keyring: Keyring
    health: HealthBook
    marks: Marks
    upstreams: Upstreams
    usage: Usage
    refreshing: Refreshing
    tenant_sources: TenantSources
    boot: Boot
    clock: Clock
    sealer: Sealer
    store_kind: str
    store_fault: Callable[[], str]
    replica: Replica
    glances: list[BrokerStatus] = field(default_factory=list, repr=False)

    def now(self) -> BrokerStatus:
        """The status at this moment."""
        now = self.clock.now()
        standings = Standings(self.keyring, self.health, self.marks, now)
        providers = tuple(self._providers(standings))
        lag_s = self.health.lag_s(now)
        return BrokerStatus(
            at=now,
            providers=providers,
            is_emergency=bool(self.keyring.keys()) and not any(p.is_runnable for p in providers),
            circuits=tuple(standings.circuits[:MAX_CIRCUITS]),
            circuit_count=len(standings.circuits),
            incidents=tuple(self._incidents()),
            upstreams=self._upstreams(now),
            disabled_upstreams=tuple(self.marks.disabled_upstreams()),
            sources=tuple(self._sources(now)),
            is_store_up=not self.health.is_cut_off(now) and not self.store_fault(),
            store_kind=self.store_kind,
            store_fault=self.store_fault(),
            seal_fault=self.sealer.fault,
            pending_facts=self.health.pending_facts,
            lag_s=lag_s,
            replica=self.replica,
            not_ready=self.boot.reasons,
        )

    async def watch(self) -> AsyncGenerator[BrokerStatus, None]:
        """The status now, then at most once in WATCH_S what it has become, if it changed.

        It looks instead of listening: circuits, windows and marks also change by time alone.
        """
        shown = self.now()
        yield shown
        while True:
            await self.clock.sleep(WATCH_S)
            status = self._glance()
            if status != shown:
                shown = status
                yield status

    def _glance(self) -> BrokerStatus:
        """The status now, or as another watcher saw it a moment ago."""
        if not self.glances or not 0 <= self.clock.now() - self.glances[0].at < GLANCE_S:
            self.glances[:] = [self.now()]
        return self.glances[0]

    def _providers(self, standings: Standings) -> Iterator[ProviderStatus]:
        for name in self.keyring.used_providers:
            keys = self.keyring.keys(name)
            yield ProviderStatus(
                provider=name,
                dialect=self.keyring.providers[name].dialect.name,
                is_runnable=any(standings.is_runnable(key) for key in keys),
                keys_by_state=standings.counts(keys),
                last_success=self.usage.last_success(name),
            )

    def _incidents(self) -> Iterator[IncidentStatus]:
        for name in sorted(self.keyring.providers):
            view = self.health.of(name).replica.view
            for provenance in Provenance:
                incident = view.incident(provenance)
                if incident is None:
                    continue
                used = self.usage.keys_in_use(name, incident.since)
                found = (self.keyring.find(key_id) for key_id in used)
                mine = {key.key_id for key in found if key and key.provenance is provenance}
                yield IncidentStatus(
                    provider=name,
                    provenance=provenance,
                    since=incident.since,
                    key_ids=incident.key_ids,
                    used=len(mine | set(incident.key_ids)),
                )

    def _upstreams(self, now: float) -> tuple[UpstreamStatus, ...]:
        active = sorted(self.upstreams.active(now))
        return tuple(UpstreamStatus.of(upstream, counts) for upstream, counts in active)

    def _sources(self, now: float) -> Iterator[SourceStatus]:
        staleness = self.refreshing.staleness
        keys = self.keyring.keys()
        counts = Counter(self.keyring.source_of(key.key_id) for key in keys)
        for name, reading in sorted(self.refreshing.readings.items()):
            faults = tuple(f"{fault.place}: {fault.message}" for fault in reading.refreshed.faults)
            yield SourceStatus(
                source=name,
                key_count=counts[name],
                faults=faults,
                is_from_copy=reading.is_from_copy,
                is_stale=staleness.is_stale(reading, now),
                read_at=reading.read_at,
                expires_at=staleness.expires_at(reading),
            )
        for found in self.tenant_sources.now():
            yield SourceStatus(
                source=found.source,
                key_count=0,
                faults=found.faults,
                is_from_copy=False,
                is_stale=found.is_stale,
                read_at=found.known_at,
                expires_at=found.expires_at,
                is_of_tenants=True,
            )
