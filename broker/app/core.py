"""The services on their ports: everything that decides, without a server."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from prometheus_client import CollectorRegistry

from broker.adapters.memory import (
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryMarkStore,
)
from broker.adapters.prometheus import PrometheusMeter
from broker.config import Settings
from broker.core.provider import Provider
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.gauges import StatusGauges
from broker.ports.key_source import KeySource
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


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the services need from outside."""

    clock: Clock
    sources: Sequence[KeySource]
    prober: Prober
    registry: CollectorRegistry
    replica: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The services that servers and loops call, and those that other services are made of."""

    world: World
    secrets: tuple[bytes, ...] = field(repr=False)
    keyring: Keyring
    health: HealthBook
    marks: Marks
    claims: Claims
    history: EventHistory
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


def wire(settings: Settings, providers: Mapping[str, Provider], world: World) -> Core:
    """The services of one replica, in the order in which they need each other."""
    clock, random = world.clock, Random()
    keyring, usage, book = Keyring(providers), Usage(), LeaseBook()
    health = HealthBook(
        providers, MemoryFactLog(clock), clock, world.replica, keyring.is_known_model
    )
    marks = Marks(MemoryMarkStore(), clock)
    quotas = LeaseQuotas(settings.lease_quota_per_principal, settings.lease_quota_per_tenant)
    pacing, upstreams, claims = Pacing(quotas), Upstreams(health), MemoryClaims()
    watching = Watching(keyring, health, marks, usage, clock)

    def take_gauges() -> StatusGauges:
        return Gauges(keyring, health, marks, refreshing, clock).take()

    def known_models(provider: str) -> Collection[str] | None:
        return keyring.offered_models(provider) if provider in providers else None

    meter = PrometheusMeter(world.registry, clock, known_models, take_gauges)
    history = MemoryEventHistory()
    journal = Journal(history, meter)
    refreshing = Refreshing(world.sources, keyring, health, watching, journal, clock)
    probing = Probing(keyring, health, upstreams, world.prober, clock, meter)
    signing = _signing_secrets(settings)
    tokens = Tokens.of(signing)
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
        secrets=signing,
        keyring=keyring,
        health=health,
        marks=marks,
        claims=claims,
        history=history,
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


def _signing_secrets(settings: Settings) -> tuple[bytes, ...]:
    """The secrets that sign lease ids and page tokens; one for this run where none is set."""
    given = (secret.get_secret_value().encode() for secret in settings.lease_secrets)
    return tuple(given) or (secrets.token_bytes(32),)
