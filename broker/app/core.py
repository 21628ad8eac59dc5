"""The services on their ports: everything that decides, without a server."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from random import Random

from broker.app.lookout import wire_lookout
from broker.app.rotation import SourcePorts, wire_refreshing, wire_rotation
from broker.app.sealing import Seal, wire_seal
from broker.app.world import World
from broker.core.provider import Provider
from broker.ports.gauges import StatusGauges
from broker.services.alternatives import Alternatives
from broker.services.attendance import Attending
from broker.services.choosing import Choosing
from broker.services.deciding import Deciding
from broker.services.ending import Ending
from broker.services.failing import Failing
from broker.services.following import Following
from broker.services.freshness import Freshness, is_quarantined
from broker.services.gauges import Gauges
from broker.services.granting import Granting
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.leasing import Leasing
from broker.services.lookout import Lookout
from broker.services.mark_effects import MarkEffects
from broker.services.marks import Marks
from broker.services.opening import Opening
from broker.services.outcomes import Outcomes
from broker.services.pacing import Pacing
from broker.services.probing import Probing
from broker.services.refreshing import Refreshing
from broker.services.rotating import Rotating
from broker.services.routing import Routing
from broker.services.tally import Tally
from broker.services.tenant_news import TenantNews
from broker.services.tenants import Tenants
from broker.services.tokens import Tokens
from broker.services.upstreams import Upstreams
from broker.services.usage import Usage
from broker.services.watching import Watching


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
    seal: Seal
    tenants: Tenants
    following: Following
    mark_effects: MarkEffects
    attending: Attending | None
    routing: Routing
    granting: Granting
    ending: Ending
    alternatives: Alternatives
    probing: Probing
    watching: Watching
    refreshing: Refreshing
    rotating: Rotating
    deciding: Deciding
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

    meter, is_shared = world.make_meter(known_models, take_gauges), world.changes is not None
    journal = Journal(world.history, meter, Tally(clock), world.replica if is_shared else "")
    probing = Probing(keyring, health, marks, upstreams, world.prober, clock, meter)
    tokens = Tokens.of(world.secrets)
    choosing = Choosing(keyring, health, marks, pacing, random)
    ending = Ending(keyring, health, claims, book, clock, meter)
    granting = Granting(
        keyring, health, choosing, claims, book, pacing, tokens, clock, meter, random
    )
    opening = Opening(world.sealer, journal, clock, world.vault)
    tenants = Tenants(
        keyring=keyring,
        store=world.key_store,
        opening=opening,
        freshness=_freshness(world, health),
        clock=clock,
        default_mode=world.tenancy.default_mode,
        cache_size=world.tenancy.cache_size,
    )
    seal = wire_seal(
        sealer=world.sealer,
        rows=world.sealed_rows,
        agreements=world.agreements,
        opening=opening,
        journal=journal,
        clock=clock,
        replica=world.replica,
        is_shared=is_shared,
    )
    seal.watch.listen(tenants.on_missed)
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
        is_shared=world.changes is not None,
    )
    news = TenantNews(keyring, health, watching, rotating, clock)
    tenants.listen(news)
    mark_effects = MarkEffects(keyring, marks, watching, book, ending)
    following = Following(world.changes, tenants, news, mark_effects)
    following.listen(seal.watch.note_agreed)
    health.listen(following)
    ports = SourcePorts(world.sources, world.copies, world.source_rules)
    refreshing = wire_refreshing(ports, rotating, journal, tenants.hint)
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
    lookout.boot.also_needs(lambda: seal.watch.reason)
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
        seal=seal,
        tenants=tenants,
        following=following,
        mark_effects=mark_effects,
        attending=_attending(world),
        routing=routing,
        granting=granting,
        ending=ending,
        alternatives=alternatives,
        probing=probing,
        watching=watching,
        refreshing=refreshing,
        rotating=rotating,
        deciding=Deciding(keyring, rotating, probing, clock),
        leasing=leasing,
        outcomes=outcomes,
        lookout=lookout,
    )


def _freshness(world: World, health: HealthBook) -> Freshness:
    """How current tenants are: a broker that is alone on its store misses no change."""
    feed, clock, tenancy = world.changes, world.clock, world.tenancy
    return Freshness(
        clock=clock,
        is_current=lambda: not world.store.fault() if feed is None else feed.is_current,
        is_alone=feed is None,
        is_quarantined=lambda key: is_quarantined(health, key, clock.now()),
        max_stale_s=tenancy.max_stale_s,
        poll_s=tenancy.poll_s,
    )


def _attending(world: World) -> Attending | None:
    """What tells the other brokers on the database of this one, where there may be others."""
    if world.changes is None:
        return None
    return Attending(world.agreements, world.clock, world.replica, lambda: world.sealer.ids)
