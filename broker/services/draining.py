"""Old revisions after a rotation: known for as long as somebody may hold a lease on them."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.core.revisions import Revision
from broker.core.words import Provenance
from broker.services.acquisition import MAX_LIFE_S
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.lease_book import LeaseBook
from broker.services.leasing import REPORT_GRACE_S

DRAIN_S = MAX_LIFE_S + REPORT_GRACE_S
"""After this long nobody has a lease on an old revision, or reports a call with one."""

LOOK_S = 10.0
"""How often it is looked whether leases on draining revisions are out: that reads all leases."""


@dataclass(frozen=True, slots=True)
class Draining:
    """Tells which old revisions nobody can have a lease on; this replica is up since `began`.

    Leases of an earlier run are not in its book, nor, where the database `is_shared`, are those
    that other replicas grant.
    """

    keyring: Keyring
    book: LeaseBook
    last_goods: LastGoods
    began: float
    is_shared: bool = False

    def drained(self, now: float) -> list[Revision]:
        """The revisions that are known for nothing any more."""
        draining = list(self._draining())
        if not draining:
            return []
        live = {(lease.claims.key_id, lease.claims.revision) for lease in self.book}
        return [revision for revision in draining if self._is_drained(revision, live, now)]

    def _draining(self) -> Iterator[Revision]:
        for held in self.keyring.incoming():
            yield from (revision for revision in held.revisions if revision.is_draining)

    def _is_drained(self, revision: Revision, live: set[tuple[str, str]], now: float) -> bool:
        key, since_s = revision.key, now - (revision.draining_since or now)
        if since_s >= DRAIN_S:
            return True
        is_in_use = (key.key_id, key.revision) in live
        if self.is_shared or since_s < LOOK_S or is_in_use:
            return False
        is_of_before = (
            key.provenance is Provenance.TENANT
            or revision.is_previous
            or self.last_goods.is_old(key)
        )
        return not is_of_before or now - self.began >= DRAIN_S
