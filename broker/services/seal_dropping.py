"""Forgetting what is sealed with keys that are lost for good."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from broker.core.key import KeySettings
from broker.ports.clock import Clock
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.sealed_rows import Dropped, RowName, SealedRows
from broker.ports.sealer import RotatingSealer
from broker.services.errors import InvalidFieldError
from broker.services.journal import Journal
from broker.services.last_goods import LastGoods
from broker.services.retiring import Retiring
from broker.services.seal_fleet import SealFleet
from broker.services.seal_walk import PAGE
from broker.services.seal_watch import SealWatch
from broker.services.tenants import Tenants

_FIELD = "sealing_key_ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealDropping:
    """Drops rows that nothing opens any more; a sealer that they kept closed opens by that."""

    sealer: RotatingSealer
    rows: SealedRows
    fleet: SealFleet
    watch: SealWatch
    tenants: Tenants
    retiring: Retiring
    last_goods: LastGoods
    journal: Journal
    clock: Clock
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def drop(self, principal: str, key_ids: Collection[str]) -> int:
        """Forget what these keys sealed, which must be all that are lost; how many rows that were.

        What has begun is finished, also when the operator goes away. Raises InvalidField- and
        StoreUnavailableError.
        """

        async def drop() -> int:
            async with self._turn:
                return await self._drop(principal, frozenset(key_ids))

        return await asyncio.shield(asyncio.create_task(drop()))

    async def _drop(self, principal: str, key_ids: frozenset[str]) -> int:
        await self.sealer.refresh()
        lost = await self.rows.sealed_by() - self.sealer.named
        await self._check(key_ids, lost)
        number = 0
        for key_id in sorted(lost):
            after: RowName | None = None
            while page := await self.rows.page(after, PAGE, by=key_id):
                after = page[-1].name
                dropped = await self.rows.drop(page)
                await self._forget(principal, dropped)
                number += len(dropped)
        await self.sealer.settle(await self.rows.sealed_by())
        if self.sealer.current and await self.fleet.agreed() in lost:
            await self.fleet.agree(self.sealer.current)
        if await self.fleet.unfinished() in lost:
            await self.fleet.end_rotation()
        await self.watch.on_tick()
        return number

    async def _check(self, key_ids: frozenset[str], lost: frozenset[str]) -> None:
        """Raise InvalidFieldError unless exactly what is lost was named."""
        for key_id in sorted(key_ids & self.sealer.named):
            problem = f"names {key_id}, which is not lost: it is at hand, or settings name it"
            raise InvalidFieldError(_FIELD, problem)
        for other in await self.fleet.others():
            for key_id in sorted(lost & other.sealing_keys):
                problem = f"{key_id} is not lost: {other.replica} has it; take its key file"
                raise InvalidFieldError(_FIELD, problem)
        if not lost:
            raise InvalidFieldError(_FIELD, "no sealing key is lost: nothing is to be forgotten")
        if key_ids != lost:
            problem = f"names not exactly the keys that are lost: {', '.join(sorted(lost)[:20])}"
            raise InvalidFieldError(_FIELD, problem)

    async def _forget(self, principal: str, dropped: Iterable[Dropped]) -> None:
        """Let go of what was held of rows, and tell."""
        for each in dropped:
            place, now = each.row.binding, self.clock.now()
            if not place.tenant:
                self.last_goods.note_dropped(place.key_id)
                what = "the last secret that worked, sealed with a lost key, is forgotten"
            elif each.was_last:
                what = "the key is deleted, since its sealing key is lost"
                await self._bury(each)
            else:
                what = f"revision {place.revision}, sealed with a lost key, is forgotten"
            if place.tenant:
                self.tenants.on_changed(place.tenant)
            attributes = {"revision": place.revision, "tenant": place.tenant}
            self.journal.record(
                "sealed_dropped",
                place.provider,
                now,
                f"{place.key_id}: {what}, by {principal}",
                key_id=place.key_id,
                principal=principal,
                attributes={name: value for name, value in attributes.items() if value},
            )

    async def _bury(self, dropped: Dropped) -> None:
        """Nothing of a key that is gone stays."""
        place, sealed = dropped.row.binding, dropped.row.sealed
        self.tenants.note_deleted(place.key_id)
        revisions = (StoredRevision(place.revision, sealed, 0.0),)
        settings = KeySettings(base_url=place.base_url)
        await self.retiring.bury(
            StoredKey(place.key_id, place.tenant, place.provider, settings, revisions, 0.0, 0.0)
        )
