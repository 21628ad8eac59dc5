"""The services on their ports: everything that decides, without a server."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from broker.app.lookout import wire_lookout
from broker.app.rotation import wire_rotation
from broker.core.provider import Provider
from broker.core.tenancy import PolicyMode
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.gauges import StatusGauges, TakeGauges
from broker.ports.key_source import KeySource
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.mark_store import MarkStore
from broker.ports.meter import Meter
from broker.ports.prober import Prober
from broker.ports.sealer import Sealer
from broker.services.alternatives import Alternatives
from broker.services.choosing import Choosing
from broker.services.ending import Ending
from broker.services.failing import Failing
from broker.services.gauges import Gauges
from broker.services.granting import Granting
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.leasing import Leasing
from broker.services.lookout import Lookout, WatchRules
from broker.services.marks import Marks
from broker.services.opening import Opening
from broker.services.orphans import Orphans
from broker.services.outcomes import Outcomes
from broker.services.pacing import LeaseQuotas, Pacing
from broker.services.probing import Probing
from broker.services.refreshing import Refreshing
from broker.services.rotating import Rotating
from broker.services.routing import Routing
from broker.services.tally import Tally
from broker.services.tenants import Tenants
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage
from broker.services.watching import Watching

KnownModels: TypeAlias = Callable[[str], Collection[str] | None]
MakeMeter: TypeAlias = Callable[[KnownModels, TakeGauges], Meter]
"""A meter asks which models of a provider may be labels, and for the gauges at scrape."""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What settings say of tenants.

    `default_mode` says whose keys serve those without a policy. `cache_size` is how many tenants
    and keys of theirs, counted together, are kept at hand.
    """

    default_mode: PolicyMode = PolicyMode.SYSTEM_ONLY
    cache_size: int = 10_000


@dataclass(frozen=True, slots=True)
class StoreView:
    """What status tells of the store: what it is, and what is wrong with it, "" while it works."""

    kind: str = "memory"
    fault: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the services need from outside: the ports, a name, and what settings say of leases.

    `secrets` sign lease ids and page tokens: the first signs, all are accepted. The fingerprint
    secret names revisions, and is the one that sources of keys use.
    """

    replica: str
    clock: Clock
    sources: Sequence[KeySource]
    prober: Prober
    log: FactLog
    claims: Claims
    mark_store: MarkStore
    key_store: KeyStore
    last_good: LastGoodStore
    sealer: Sealer
    history: EventHistory
    make_meter: MakeMeter
    secrets: tuple[bytes, ...] = field(repr=False)
    fingerprint_secret: bytes = field(repr=False)
    quotas: LeaseQuotas
    tenancy: Tenancy = Tenancy()
    store: StoreView = StoreView()
    watch: WatchRules = field(default_factory=WatchRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The services that servers and loops call, and those that other services are made of."""

    world: World
    keyring: Keyring
    health: HealthBook
    marks: Marks
    upstreams: Upstreams
    usage: Usage
    pacing: Pacing
    book: LeaseBook
    choosing: Choosing
    journal: Journal
    opening: Opening
    tenants: Tenants
    routing: Routing
    granting: Granting
    ending: Ending
    alternatives: Alternatives
    probing: Probing
    watching: Watching
    refreshing: Refreshing
    rotating: Rotating
    leasing: Leasing
    outcomes: Outcomes
    lookout: Lookout


def wire(providers: Mapping[str, Provider], world: World) -> Core:
    """The services of one replica, in the order in which they need each other."""
    clock, claims, random = world.clock, world.claims, Random()
    keyring, usage, book = Keyring(providers), Usage(), LeaseBook()
    health = HealthBook(providers, world.log, clock, world.replica, keyring.models.is_known)
    marks = Marks(world.mark_store, clock)
    pacing, upstreams = Pacing(world.quotas), Upstreams(health)
    watching = Watching(keyring, health, marks, usage, clock)

    def take_gauges() -> StatusGauges:
        return Gauges(keyring, health, marks, refreshing, clock).take()

    def known_models(provider: str) -> Collection[str] | None:
        return keyring.models.offered(provider) if provider in providers else None

    meter = world.make_meter(known_models, take_gauges)
    journal = Journal(world.history, meter, Tally(clock))
    probing = Probing(keyring, health, marks, upstreams, world.prober, clock, meter)
    tokens = Tokens.of(world.secrets)
    choosing = Choosing(keyring, health, marks, pacing, random)
    ending = Ending(keyring, health, claims, book, clock, meter)
    granting = Granting(
        keyring, health, choosing, claims, book, pacing, tokens, clock, meter, random
    )
    opening = Opening(world.sealer, journal, clock)
    tenants = Tenants(
        keyring=keyring,
        store=world.key_store,
        opening=opening,
        clock=clock,
        default_mode=world.tenancy.default_mode,
        cache_size=world.tenancy.cache_size,
    )
    routing = Routing(tenants, choosing, clock)
    alternatives = Alternatives(keyring, routing)
    leasing = Leasing(
        keyring=keyring,
        health=health,
        choosing=choosing,
        tenants=tenants,
        routing=routing,
        probing=probing,
        granting=granting,
        ending=ending,
        alternatives=alternatives,
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
    for listener in (keyring, upstreams, watching, probing, journal):
        health.listen(listener)
    rotating = wire_rotation(
        keyring=keyring,
        health=health,
        probing=probing,
        watching=watching,
        book=book,
        journal=journal,
        last_good=world.last_good,
        key_store=world.key_store,
        sealer=world.sealer,
        clock=clock,
    )
    orphans = Orphans(keyring, health, rotating.last_goods, clock.now())
    refreshing = Refreshing(world.sources, keyring, watching, rotating, orphans, journal, clock)
    outcomes = Outcomes(
        keyring=keyring,
        health=health,
        leasing=leasing,
        ending=ending,
        choosing=choosing,
        tenants=tenants,
        routing=routing,
        upstreams=upstreams,
        probing=probing,
        rotating=rotating,
        book=book,
        tokens=tokens,
        usage=usage,
        journal=journal,
        clock=clock,
        meter=meter,
    )
    failing = Failing(keyring, health, marks, usage)
    lookout = wire_lookout(world.watch, failing, probing, journal, world.key_store, clock)
    return Core(
        world=world,
        keyring=keyring,
        health=health,
        marks=marks,
        upstreams=upstreams,
        usage=usage,
        pacing=pacing,
        book=book,
        choosing=choosing,
        journal=journal,
        opening=opening,
        tenants=tenants,
        routing=routing,
        granting=granting,
        ending=ending,
        alternatives=alternatives,
        probing=probing,
        watching=watching,
        refreshing=refreshing,
        rotating=rotating,
        leasing=leasing,
        outcomes=outcomes,
        lookout=lookout,
    )
