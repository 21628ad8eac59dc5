"""Sealing keys from second to second: what came, what is agreed, what people must know."""

from collections.abc import Callable

import structlog

from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.sealed_rows import SealedRows
from broker.ports.sealer import RotatingSealer
from broker.services.journal import Journal
from broker.services.seal_fleet import SealFleet

LOOK_S = 5.0
"""How often a closed sealer is told what there is to open, since another broker may forget it; and
how often the agreement is read though nobody told of another one."""

LASTS_S = 3.0
"""What is wrong is told when it has lasted so long, and when it has been gone so long."""

NOT_READY = "tenants' keys cannot be opened: 'keybroker seal status' tells why"

log = structlog.get_logger("keybroker")


class SealWatch:
    """Keeps the keys of one broker current.

    Those who could not open something hear when keys have come: it may open now.
    """

    def __init__(
        self,
        sealer: RotatingSealer,
        rows: SealedRows,
        fleet: SealFleet,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._sealer = sealer
        self._rows = rows
        self._fleet = fleet
        self._journal = journal
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._generation = sealer.generation
        self._is_agreed_due = True
        self._settle_at = self._agree_at = 0.0
        self._fault = _Told("seal_closed", "seal_opened", "everything can be sealed again")
        self._trouble = _Told(
            "sealing_key_faulted", "sealing_key_mended", "nothing is wrong with the sealing keys"
        )
        self.reason = ""
        """Why this replica is not ready; for good "" once it was able to open."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this when keys have come to hand; it must not block or raise."""
        self._listeners.append(listener)

    def note_agreed(self) -> None:
        """The brokers may have agreed on another key: look at the next tick."""
        self._is_agreed_due = True

    async def begin(self) -> None:
        """Look at the start: a broker that cannot open what tenants have is not ready."""
        await self.on_tick()
        if self._sealer.fault:
            log.error("sealed", detail=self._sealer.fault)
            self.reason = NOT_READY if await self._has_tenants() else ""
        now = self._clock.now()
        self._say(self._fault.now(self._sealer.fault, now, lasts_s=0.0))
        self._say(self._trouble.now(self._sealer.trouble, now, lasts_s=0.0))

    async def on_tick(self) -> None:
        """Take what came, use what is agreed, and tell of what changed."""
        sealer, now = self._sealer, self._clock.now()
        await sealer.refresh()
        try:
            if not sealer.current and now >= self._settle_at:
                self._settle_at = now + LOOK_S
                await sealer.settle(await self._rows.sealed_by())
            if self._is_agreed_due or (self._fleet.is_shared and now >= self._agree_at):
                await self._agree(now)
        except StoreUnavailableError:
            pass  # the next tick looks again
        if not sealer.fault:
            self.reason = ""
        self._say(self._fault.now(sealer.fault, now))
        self._say(self._trouble.now(sealer.trouble, now))
        if sealer.generation != self._generation:
            self._generation = sealer.generation
            for listener in self._listeners:
                listener()

    async def _agree(self, now: float) -> None:
        """Seal with the key that all brokers seal with."""
        sealer = self._sealer
        if not sealer.current:
            return
        agreed = await self._fleet.agreed() or await self._fleet.agree_first(sealer.current)
        is_lost = agreed not in sealer.named and not self._fleet.is_shared
        if is_lost and agreed not in await self._rows.sealed_by():
            await self._fleet.agree(sealer.current)  # nobody needs that one any more
        else:
            sealer.use(agreed)
        self._is_agreed_due, self._agree_at = False, now + LOOK_S

    async def _has_tenants(self) -> bool:
        """Is there a tenant's key? Those come first, by name."""
        try:
            rows = await self._rows.page(None, 1)
        except StoreUnavailableError:
            return True
        return any(row.binding.tenant for row in rows)

    def _say(self, news: tuple[str, str] | None) -> None:
        if news is not None:
            kind, message = news
            self._journal.record(kind, "", self._clock.now(), message)


class _Told:
    """What was last told of something that is wrong or is not."""

    def __init__(self, kind: str, kind_of_end: str, end: str) -> None:
        self._kind = kind
        self._end = (kind_of_end, end)
        self._told = self._seen = ""
        self._since = 0.0

    def now(self, what: str, at: float, lasts_s: float = LASTS_S) -> tuple[str, str] | None:
        """The kind and message of an event that is due; only its beginning and end are."""
        if bool(what) != bool(self._seen):
            self._since = at
        self._seen = what
        if bool(what) == bool(self._told) or at - self._since < lasts_s:
            return None
        self._told = what
        return (self._kind, what) if what else self._end
