"""The services on their ports: everything that decides, without a server."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from broker.core.provider import Provider
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.gauges import StatusGauges, TakeGauges
from broker.ports.key_source import KeySource
from broker.ports.mark_store import MarkStore
from broker.ports.meter import Meter
from broker.ports.prober import Prober
from broker.services.alternatives import Alternatives
from broker.services.choosing import Choosing
from broker.services.ending import Ending
from broker.services.gauges import Gauges
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
from broker.services.probing import Probing
from broker.services.refreshing import Refreshing
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage
from broker.services.watching import Watching

KnownModels: TypeAlias = Callable[[str], Collection[str] | None]
MakeMeter: TypeAlias = Callable[[KnownModels, TakeGauges], Meter]
"""A meter asks which models of a provider may be labels, and for the gauges at scrape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the services need from outside: the ports, a name, and what settings say of leases.

    `secrets` sign lease ids and page tokens: the first signs, all are accepted.
    """

    replica: str
    clock: Clock
    sources: Sequence[KeySource]
    prober: Prober
    log: FactLog
    claims: Claims
    mark_store: MarkStore
    history: EventHistory
    make_meter: MakeMeter
    secrets: tuple[bytes, ...] = field(repr=False)
    quotas: LeaseQuotas


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
    granting: Granting
    ending: Ending
    alternatives: Alternatives
    probing: Probing
    watching: Watching
    refreshing: Refreshing
    leasing: Leasing
    outcomes: Outcomes


def wire(providers: Mapping[str, Provider], world: World) -> Core:
    """The services of one replica, in the order in which they need each other."""
    clock, claims, random = world.clock, world.claims, Random()
    keyring, usage, book = Keyring(providers), Usage(), LeaseBook()
    health = HealthBook(providers, world.log, clock, world.replica, keyring.is_known_model)
    marks = Marks(world.mark_store, clock)
    pacing, upstreams = Pacing(world.quotas), Upstreams(health)
    watching = Watching(keyring, health, marks, usage, clock)

    def take_gauges() -> StatusGauges:
        return Gauges(keyring, health, marks, refreshing, clock).take()

    def known_models(provider: str) -> Collection[str] | None:
        return keyring.offered_models(provider) if provider in providers else None

    meter = world.make_meter(known_models, take_gauges)
    journal = Journal(world.history, meter)
    refreshing = Refreshing(world.sources, keyring, health, watching, journal, clock)
    probing = Probing(keyring, health, upstreams, world.prober, clock, meter)
    tokens = Tokens.of(world.secrets)
    choosing = Choosing(keyring, health, marks, pacing, random)
    ending = Ending(keyring, health, claims, book, clock, meter)
    granting = Granting(
        keyring, health, choosing, claims, book, pacing, tokens, clock, meter, random
    )
    alternatives = Alternatives(keyring, choosing)
    leasing = Leasing(
        keyring=keyring,
        health=health,
        choosing=choosing,
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
    incidents = Incidents(keyring, health, usage)
    for listener in (keyring, upstreams, watching, probing, journal, incidents):
        health.listen(listener)
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
        granting=granting,
        ending=ending,
        alternatives=alternatives,
        probing=probing,
        watching=watching,
        refreshing=refreshing,
        leasing=leasing,
        outcomes=outcomes,
    )
