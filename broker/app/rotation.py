"""What reads sources of keys and takes keys from one secret to the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from broker.core.key import Key
from broker.ports.clock import Clock
from broker.ports.key_source import KeySource
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.sealer import Sealer
from broker.ports.source_copies import SourceCopies
from broker.services.draining import Draining
from broker.services.elsewhere import Elsewhere
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.lease_book import LeaseBook
from broker.services.orphans import Orphans
from broker.services.probing import Probing
from broker.services.refreshing import Refreshing, SourceRules
from broker.services.rotating import Rotating
from broker.services.rotation_news import RotationNews
from broker.services.source_changes import SourceChanges
from broker.services.source_copying import SourceCopying
from broker.services.staleness import Staleness
from broker.services.stored_revisions import StoredRevisions
from broker.services.watching import Watching


@dataclass(frozen=True, slots=True)
class SourcePorts:
    """Where system keys come from, where copies of that are kept, and what settings say of it."""

    sources: Sequence[KeySource]
    copies: SourceCopies | None
    rules: SourceRules


def wire_rotation(  # noqa: PLR0913 - ports and services by name
    *,
    keyring: Keyring,
    health: HealthBook,
    probing: Probing,
    watching: Watching,
    book: LeaseBook,
    journal: Journal,
    last_good: LastGoodStore,
    key_store: KeyStore,
    sealer: Sealer,
    clock: Clock,
    is_shared: bool,
) -> Rotating:
    """The rotation of one replica; it hears of every probe, and of circuits after all others."""
    began = clock.now()
    last_goods = LastGoods(last_good, sealer, keyring, journal, clock, is_shared=is_shared)
    rotating = Rotating(
        keyring=keyring,
        health=health,
        probing=probing,
        watching=watching,
        draining=Draining(keyring, book, last_goods, began, is_shared),
        elsewhere=Elsewhere(keyring, health, clock, began),
        last_goods=last_goods,
        stored=StoredRevisions(key_store, keyring),
        news=RotationNews(keyring, journal, clock),
        clock=clock,
    )
    probing.listen(rotating.note_probed)
    health.listen(rotating)
    return rotating


def wire_refreshing(
    ports: SourcePorts, rotating: Rotating, journal: Journal, hint: Callable[[str], None]
) -> Refreshing:
    """What reads the sources; a tenant's key of which there is more to know it `hint`s at."""
    keyring, health, clock = rotating.keyring, rotating.health, rotating.clock
    draining, rules = rotating.draining, ports.rules
    refreshing = Refreshing(
        ports.sources,
        rules.poll_s,
        rotating,
        SourceChanges(keyring, rotating.watching, rotating, journal, clock),
        Staleness(keyring, journal, rules.max_stale_s),
        SourceCopying(ports.copies, journal, clock, rules.max_stale_s),
        Orphans(keyring, health, rotating.last_goods, draining.began, draining.is_shared),
        Random(),
    )

    def reread(key: Key) -> None:
        if key.owner:
            hint(key.key_id)
        else:
            refreshing.read_soon(keyring.source_of(key.key_id))

    rotating.reread = reread
    return refreshing
