"""Sealing everything anew with another sealing key, while everything goes on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from broker.ports.clock import Clock
from broker.ports.errors import (
    SealBrokenError,
    SealClosedError,
    SealKeyMissingError,
)
from broker.ports.sealed_rows import Resealed, RowName, SealedRow, SealedRows
from broker.ports.sealer import RotatingSealer
from broker.services.errors import InvalidFieldError, SealingKeyMissingError
from broker.services.journal import Journal
from broker.services.opening import Opening
from broker.services.progress import told
from broker.services.seal_fleet import SealFleet
from broker.services.seal_walk import PAGE, SealProgress, Walk, in_parts, patiently

LATE_S = 1.5
"""What was sealed with the old key just before the new one was used is written by then."""

LATE_ELSEWHERE_S = 4.0
"""The same where other brokers must first hear of the new key."""

PAUSE_S = 0.005
"""At least so long others have the database to themselves between two pages."""


class Resealing:
    """Rotates the sealing key, once at a time; two brokers that do it at once do no harm.

    Nothing is needed to go on after a crash but what is kept: rows that the new key did not seal.
    """

    def __init__(
        self,
        sealer: RotatingSealer,
        rows: SealedRows,
        fleet: SealFleet,
        opening: Opening,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._sealer = sealer
        self._rows = rows
        self._fleet = fleet
        self._opening = opening
        self._journal = journal
        self._clock = clock
        self._turn = asyncio.Lock()

    async def rotate(self, principal: str, key_id: str) -> AsyncGenerator[SealProgress, None]:
        """Seal with a key from the first message on, and anew all that another key sealed.

        Without a key a rotation that was broken off goes on, else a key is made. Raises
        SealClosed-, SealingKeyMissing-, InvalidField- and StoreUnavailableError.
        """
        async with self._turn:
            walk = await self._begin(principal, key_id)
            yield walk.progress()
            async with aclosing(told(self._reseal_all(walk), walk.progress)) as news:
                async for progress in news:
                    yield progress
            await self._end(principal, walk)
            while walk.has_more_to_name:
                yield walk.progress()
            yield walk.progress(is_last=True)

    async def _begin(self, principal: str, key_id: str) -> Walk:
        """Have the key seal, here and everywhere."""
        await self._sealer.refresh()
        if self._sealer.fault:
            raise SealClosedError(self._sealer.fault)
        target = key_id or await self._fleet.unfinished() or await self._made()
        try:
            await self._sealer.prove(target)
        except SealKeyMissingError:
            message = (
                f"sealing key {target} is not at hand: put it into the key file of every broker, or"
                " into KEYBROKER_SEAL_KMS_KEYS"
            )
            raise SealingKeyMissingError(target, [""], message) from None
        await self._fleet.check_all_have(target)
        counts = await self._rows.counts()
        await self._fleet.begin_rotation(target)
        self._sealer.use(target)
        walk = Walk(target, total=sum(counts.values()) - counts.get(target, 0))
        message = f"sealing key {target} seals from now on; {walk.total} rows are sealed anew"
        self._tell("seal_rotation_begun", principal, message, walk)
        return walk

    async def _made(self) -> str:
        try:
            return await self._sealer.make()
        except SealClosedError as error:
            raise InvalidFieldError("key_id", str(error)) from None

    async def _reseal_all(self, walk: Walk) -> None:
        """Until nothing is left that another key sealed, and nothing comes any more."""
        others = await patiently(self._fleet.others, self._clock)
        settled_at = self._clock.now() + (LATE_ELSEWHERE_S if others else LATE_S)
        while True:
            is_settled = self._clock.now() >= settled_at
            if await self._reseal_once(walk):
                continue
            if is_settled:
                return
            await self._clock.sleep(max(settled_at - self._clock.now(), 0.0))

    async def _reseal_once(self, walk: Walk) -> bool:
        """Go through all rows; say whether any was there to seal anew."""
        after: RowName | None = None
        was_any = False
        while page := await self._page(after, walk):
            began, after = self._clock.now(), page[-1].name
            rows = [row for row in page if not walk.knows(row)]
            resealed = [one for part in in_parts(rows) for one in await self._sealed(part, walk)]
            if resealed:
                was_any = True
                walk.done += await patiently(partial(self._rows.replace, resealed), self._clock)
            await self._clock.sleep(max(self._clock.now() - began, PAUSE_S))
        return was_any

    async def _page(self, after: RowName | None, walk: Walk) -> Sequence[SealedRow]:
        """The next rows that another key sealed."""
        read = partial(self._rows.page, after, PAGE, not_by=walk.key_id)
        return await patiently(read, self._clock)

    async def _sealed(self, rows: Sequence[SealedRow], walk: Walk) -> list[Resealed]:
        """A few rows sealed anew; what does not open is noted."""
        found = await asyncio.gather(*(self._seal(row, walk) for row in rows))
        await asyncio.sleep(0)
        return [each for each in found if each is not None]

    async def _seal(self, row: SealedRow, walk: Walk) -> Resealed | None:
        async def seal() -> Resealed:
            secret = await self._sealer.open(row.sealed, row.binding)
            return Resealed(row.name, row.sealed, await self._sealer.seal(secret, row.binding))

        try:
            return await patiently(seal, self._clock)
        except SealBrokenError as error:
            walk.unreadable[row.name] = row
            if not isinstance(error, SealKeyMissingError):  # those may be very many
                self._opening.tell(row.binding, row.sealed, error)
            return None

    async def _end(self, principal: str, walk: Walk) -> None:
        await patiently(self._fleet.end_rotation, self._clock)
        left = f"; {len(walk.unreadable)} rows do not open" if walk.unreadable else ""
        message = f"{walk.done} rows were sealed anew with key {walk.key_id}{left}"
        self._tell("seal_rotated", principal, message, walk)

    def _tell(self, kind: str, principal: str, message: str, walk: Walk) -> None:
        attributes = {
            "sealing_key": walk.key_id,
            "rows": str(walk.done or walk.total),
            "unreadable": str(len(walk.unreadable)),
        }
        now = self._clock.now()
        self._journal.record(kind, "", now, message, principal=principal, attributes=attributes)
