"""The services of one replica as `wire` builds them, on a log and claims that replicas share."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from broker.adapters.memory import MemoryEventHistory, MemoryMarkStore
from broker.app.core import Core, World
from broker.core.provider import Provider
from broker.ports.claims import Claims
from broker.ports.fact_log import FactLog
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
from broker.services.probing import Probing
from broker.services.refreshing import Refreshing
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage
from broker.services.watching import Watching
from tests.fakes import FakeMeter

SECRET = b"signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What `wire` makes itself, and tests bring."""

    log: FactLog
    claims: Claims
    meter: FakeMeter
    history: MemoryEventHistory


def wire_on(
    stores: Stores, world: World, providers: Mapping[str, Provider], quotas: LeaseQuotas
) -> Core:
    """The services in the order in which they need each other."""
    clock, claims, meter = world.clock, stores.claims, stores.meter
    random = Random(world.replica)
    keyring, usage, book = Keyring(providers), Usage(), LeaseBook()
    health = HealthBook(providers, stores.log, clock, world.replica, keyring.is_known_model)
    marks, journal = Marks(MemoryMarkStore(), clock), Journal(stores.history, meter)
    pacing, upstreams = Pacing(quotas), Upstreams(health)
    watching = Watching(keyring, health, marks, usage, clock)
    refreshing = Refreshing(world.sources, keyring, health, watching, journal, clock)
    probing = Probing(keyring, health, upstreams, world.prober, clock, meter)
    tokens = Tokens.of([SECRET])
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
        secrets=(SECRET,),
        keyring=keyring,
        health=health,
        marks=marks,
        claims=claims,
        history=stores.history,
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
