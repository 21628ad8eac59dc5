"""The fact log as a table that several brokers share, each with a process of its own."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Self

from sqlalchemy import Connection

from broker.adapters.sql import fact_rows, shared_rows
from broker.adapters.sql.appends import Append, Appends
from broker.adapters.sql.database import Database
from broker.adapters.sql.log_memory import ProviderLog
from broker.adapters.sql.shared_rows import End, Growth, Wanted
from broker.core.facts import Fact
from broker.core.health import FACT_MEMORY_S
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.fact_log import Deliver, Lost, no_matter

APPEND_S = 2.0
"""How long an append is waited for: the commit under way, and its own."""


class SqlSharedFactLog:
    """The log of all brokers on one PostgreSQL; log time is the database's clock.

    Own entries are delivered within the append that makes them, after those of others before them.
    Others' are read when somebody tells of them: see `hear` and `hear_of`.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._logs: dict[str, ProviderLog] = {}
        self._appends = Appends(self._commit, self._recall, APPEND_S)
        self._behind: set[str] = set()
        self._reading: asyncio.Task[None] | None = None
        self._own_backend = 0

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """The log as it stands. Raises StoreUnavailableError."""
        log = cls(database, clock)

        def read(connection: Connection) -> dict[str, ProviderLog]:
            return {
                provider: ProviderLog(*place, fact_rows.lately(connection, provider, place.at))
                for provider, place in shared_rows.heads(connection).items()
            }

        await database.write(shared_rows.mend_heads)
        log._logs = await database.read(read)
        return log

    async def append(self, fact: Fact, age_s: float) -> Logged:
        """Append; an id that waits already, or that the log knows, is one entry."""
        now, known = self._clock.now(), self._recall(fact)
        if known is not None and known.at > now - FACT_MEMORY_S:
            return known
        return await self._appends.add(fact, now, age_s)

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        """Deliver what is kept above `after`, then what this process makes or hears of."""
        log = self._log(provider)
        epoch, known = log.epoch, End(log.position, log.at)
        follower = log.follow(after, deliver, lost)
        stop = partial(log.leave, follower)

        def read(connection: Connection) -> tuple[list[Growth], list[Logged] | None]:
            begun = shared_rows.beginning(connection, provider, after)
            return shared_rows.read_on(connection, {provider: known}), begun

        try:
            growths, kept = await self._database.read(read)
        except BaseException:
            stop()
            raise
        is_lost = kept is None or log.epoch != epoch
        self._grow(growths, {provider: epoch})
        if is_lost:
            stop()
            lost()
        else:
            follower.begin(kept or ())
        return stop

    async def snapshot(self, provider: str) -> Snapshot | None:
        """The newest snapshot that can be read."""
        return await self._database.read(partial(fact_rows.newest_snapshot, provider=provider))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, and trim the log behind the one before."""
        await self._database.write(partial(shared_rows.save_snapshot, snapshot=snapshot))

    def hear(self, provider: str, backend: int) -> None:
        """Somebody's backend of the database added to a log: read it, unless it was our own."""
        if backend != self._own_backend:
            self._read_on_soon({provider})

    def hear_of(self, heads: Mapping[str, End]) -> None:
        """Logs end here: read those that go on."""
        logs = self._logs
        self._read_on_soon(
            {
                provider
                for provider, place in heads.items()
                if provider in logs and place != (logs[provider].position, logs[provider].at)
            }
        )

    def _log(self, provider: str) -> ProviderLog:
        log = self._logs.get(provider)
        if log is None:
            log = self._logs[provider] = ProviderLog(*shared_rows.START)
        return log

    def _recall(self, fact: Fact) -> Logged | None:
        return self._log(fact.provider).recall(fact.fact_id)

    async def _commit(self, batch: Sequence[Append]) -> None:
        wanted = list(self._wanted(batch))
        epochs = {each.provider: self._log(each.provider).epoch for each in wanted}
        work = partial(shared_rows.append, wanted=wanted, clock=self._clock)
        appended = await self._database.write(work)
        self._own_backend = appended.backend or self._own_backend
        self._grow(appended.growths, epochs)

    def _wanted(self, batch: Sequence[Append]) -> Iterator[Wanted]:
        for provider in sorted({append.fact.provider for append in batch}):
            log = self._log(provider)
            appends = [append for append in batch if append.fact.provider == provider]
            known = {append.fact.fact_id: self._recall(append.fact) for append in appends}
            remembered = {fact_id: entry for fact_id, entry in known.items() if entry}
            yield Wanted(provider, End(log.position, log.at), appends, remembered)

    def _read_on_soon(self, providers: set[str]) -> None:
        followed = {name for name in providers if name in self._logs and self._logs[name].followers}
        self._behind |= followed
        if self._behind and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read_on())

    async def _read_on(self) -> None:
        """Read what others appended; where that fails, it will be told of again."""
        while self._behind:
            providers, self._behind = self._behind, set()
            logs = {provider: self._log(provider) for provider in providers}
            known = {provider: End(log.position, log.at) for provider, log in logs.items()}
            epochs = {provider: log.epoch for provider, log in logs.items()}
            try:
                growths = await self._database.read(partial(shared_rows.read_on, known=known))
            except StoreUnavailableError:
                return
            self._grow(growths, epochs)

    def _grow(self, growths: Sequence[Growth], epochs: Mapping[str, int]) -> None:
        """Deliver what logs gained, unless they were begun anew since it was read."""
        for growth in growths:
            log = self._log(growth.provider)
            if log.epoch != epochs[growth.provider]:
                continue
            if growth.recent is not None:
                log.begin_anew(*growth.end, growth.recent)
                for entry in growth.entries:
                    log.add(entry)
                continue
            for entry in growth.entries:
                if entry.position > log.position:
                    log.deliver(entry)
            if growth.end.position >= log.position:
                log.move(*growth.end)
