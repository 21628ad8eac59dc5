"""Readings of tenants: one at a time for each, and no more at once than the store answers soon."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.services.gate import Gate, GateFullError

AT_ONCE = 16
"""Readings of the store under way: enough to keep its threads busy."""

MOST_WAITING = 256
"""Readings that wait for their turn: the store makes as many in about half a second."""

PATIENCE_S = 0.5
"""How long a reading waits for its turn. Where ten thousand cold tenants are asked for at once,
those that are too many are told to come again, and so each of them is soon at hand."""

IN_BACKGROUND = 2
"""Readings at once that nobody waits for, so that those somebody waits for come first."""


class TenantReadings:
    """Has tenants read by `load`, for callers who wait and in the background."""

    def __init__(
        self,
        load: Callable[[str], Awaitable[None]],
        is_wanted: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._load = load
        self._is_wanted = is_wanted
        self._gate = Gate(clock, AT_ONCE, MOST_WAITING, PATIENCE_S)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._soon: dict[str, None] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self.is_failing = False

    @property
    def waiting(self) -> int:
        """How many tenants are to be read in the background."""
        return len(self._soon)

    def is_under_way(self, tenant: str) -> bool:
        """Is the tenant being read?"""
        return tenant in self._under_way

    @property
    def under_way(self) -> list[str]:
        """The tenants that are being read."""
        return list(self._under_way)

    def start(self, tenant: str) -> asyncio.Task[None]:
        """The reading of a tenant: the one under way, or a new one; it ends in its own time."""
        task = self._under_way.get(tenant)
        if task is None or task.done():
            task = self._under_way[tenant] = asyncio.create_task(self._read(tenant))
            task.add_done_callback(lambda done: self._landed(tenant, done))
        return task

    async def now(self, tenant: str) -> None:
        """Read a tenant, or wait for the reading under way. Raises StoreUnavailableError."""
        await asyncio.shield(self.start(tenant))

    def soon(self, tenants: Iterable[str]) -> None:
        """Read tenants in the background, those named first first."""
        for tenant in tenants:
            self._soon.setdefault(tenant)
        if not self.is_failing:
            self._go_on()

    def on_tick(self) -> None:
        """Go on with what failed a second ago."""
        self._go_on()

    async def close(self) -> None:
        """Read no more in the background."""
        self._soon.clear()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _read(self, tenant: str) -> None:
        try:
            async with self._gate.entered(may_wait=not self.is_failing):
                await self._load(tenant)
        except GateFullError:
            raise StoreUnavailableError(
                "more tenants are asked for at once than the database gives: ask again"
            ) from None
        except StoreUnavailableError:
            self.is_failing = True
            raise
        self.is_failing = False

    def _landed(self, tenant: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(tenant) is task:
            del self._under_way[tenant]
        if not task.cancelled():
            task.exception()  # those who waited were told

    def _go_on(self) -> None:
        for _ in range(min(IN_BACKGROUND - len(self._workers), len(self._soon))):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        """Read what is to be read; what fails is last in line, and waits for the next second."""
        while self._soon:
            tenant = next(iter(self._soon))
            del self._soon[tenant]
            if not self._is_wanted(tenant):
                continue
            try:
                await self.now(tenant)
            except StoreUnavailableError:
                self._soon[tenant] = None
                return
