"""What sealing keys there are, what they seal, and whether all of it opens."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from broker.ports.clock import Clock
from broker.ports.errors import SealBrokenError, SealClosedError, SealKeyMissingError
from broker.ports.sealed_rows import RowName, SealedRow, SealedRows
from broker.ports.sealer import RotatingSealer
from broker.services.opening import Opening
from broker.services.progress import told
from broker.services.seal_fleet import SealFleet
from broker.services.seal_walk import PAGE, SealProgress, Walk, in_parts, patiently


@dataclass(frozen=True, slots=True)
class SealingKeyView:
    """A sealing key; `missing_at` are the other brokers that run and do not have it."""

    key_id: str
    is_at_hand: bool
    rows: int
    missing_at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SealView:
    """All sealing keys; `fault` says why the broker is sealed, `trouble` what else is wrong."""

    fault: str
    trouble: str
    current: str
    keys: tuple[SealingKeyView, ...]


@dataclass(frozen=True, slots=True)
class SealReport:
    """Answers questions about sealing; raises StoreUnavailableError."""

    sealer: RotatingSealer
    rows: SealedRows
    fleet: SealFleet
    opening: Opening
    clock: Clock

    async def now(self) -> SealView:
        """The sealing keys at this moment."""
        counts, others = await self.rows.counts(), await self.fleet.others()
        sealer = self.sealer
        keys = tuple(
            SealingKeyView(
                key_id,
                key_id in sealer.ids,
                counts.get(key_id, 0),
                tuple(sorted(o.replica for o in others if key_id not in o.sealing_keys)),
            )
            for key_id in sorted(sealer.named | counts.keys())
        )
        return SealView(sealer.fault, sealer.trouble, sealer.current, keys)

    async def verify(self) -> AsyncGenerator[SealProgress, None]:
        """Open everything, and name what does not open. Raises SealClosedError."""
        if not self.sealer.current:
            raise SealClosedError(self.sealer.fault)
        walk = Walk(total=sum((await self.rows.counts()).values()))
        yield walk.progress()
        async with aclosing(told(self._open_all(walk), walk.progress)) as news:
            async for progress in news:
                yield progress
        while walk.has_more_to_name:
            yield walk.progress()
        yield walk.progress(is_last=True)

    async def _open_all(self, walk: Walk) -> None:
        page = await self._page(None)
        while page:
            for rows in in_parts(page):
                await self._open(rows, walk)
            page = await self._page(page[-1].name)

    async def _page(self, after: RowName | None) -> Sequence[SealedRow]:
        return await patiently(partial(self.rows.page, after, PAGE), self.clock)

    async def _open(self, rows: Sequence[SealedRow], walk: Walk) -> None:
        await asyncio.gather(*(self._open_one(row, walk) for row in rows))
        walk.done += len(rows)
        await asyncio.sleep(0)

    async def _open_one(self, row: SealedRow, walk: Walk) -> None:
        try:
            await patiently(partial(self.sealer.open, row.sealed, row.binding), self.clock)
        except SealBrokenError as error:
            walk.unreadable[row.name] = row
            if not isinstance(error, SealKeyMissingError):  # those may be very many
                self.opening.tell(row.binding, row.sealed, error)
