"""What takes keys from one secret to the next, on the services that others call."""

from broker.ports.clock import Clock
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.sealer import Sealer
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.lease_book import LeaseBook
from broker.services.probing import Probing
from broker.services.rotating import Rotating
from broker.services.rotation_news import RotationNews
from broker.services.stored_revisions import StoredRevisions
from broker.services.watching import Watching


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
) -> Rotating:
    """The rotation of one replica; it hears of every probe, and of circuits after all others."""
    rotating = Rotating(
        keyring=keyring,
        health=health,
        probing=probing,
        watching=watching,
        book=book,
        last_goods=LastGoods(last_good, sealer, keyring, journal, clock),
        stored=StoredRevisions(key_store, keyring),
        news=RotationNews(keyring, journal, clock),
        clock=clock,
        began=clock.now(),
    )
    probing.listen(rotating.note_probed)
    health.listen(rotating)
    return rotating
