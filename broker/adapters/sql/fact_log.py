"""The fact log as a table that one process has for itself."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Self

from sqlalchemy import Connection

from broker.adapters.sql import fact_rows
from broker.adapters.sql.appends import Append, Appends
from broker.adapters.sql.database import Database
from broker.adapters.sql.log_memory import ProviderLog
from broker.core.facts import Fact
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.fact_log import Deliver, Lost, no_matter

APPEND_S = 10.0
"""How long an append is waited for: the commit under way, and its own."""


class SqlFactLog:
    """The log of one process: followers hear of an entry once it is durable.

    Nobody else trims it, so that no follower ever misses an entry.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._logs: dict[str, ProviderLog] = {}
        self._appends = Appends(self._commit, self._recall, APPEND_S)
        self._is_unsure = False

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """The log, where the last process left it. Raises StoreUnavailableError."""
        log = cls(database, clock)

        def read(connection: Connection) -> None:
            for provider, (position, at) in fact_rows.heads(connection).items():
                recent = fact_rows.lately(connection, provider, at)
                log._logs[provider] = ProviderLog(position, at, recent)

        await database.read(read)
        return log

    async def append(self, fact: Fact, age_s: float) -> Logged:
        """Append; an id that waits already, or that the log knows, is one entry."""
        at = self._log(fact.provider).tick(self._clock.now())
        return self._recall(fact) or await self._appends.add(fact, at, age_s)

    async def follow(
        self, provider: str, after: int, deliver: Deliver, lost: Lost = no_matter
    ) -> Callable[[], None]:
        """Deliver what is kept above `after`, then each entry within the append that makes it."""
        log = self._log(provider)
        follower = log.follow(after, deliver, lost)
        stop = partial(log.leave, follower)
        try:
            kept = await self._database.read(
                partial(fact_rows.facts_after, provider=provider, position=after)
            )
        except BaseException:
            stop()
            raise
        follower.begin(kept)
        return stop

    async def snapshot(self, provider: str) -> Snapshot | None:
        """The newest snapshot that can be read."""
        return await self._database.read(partial(fact_rows.newest_snapshot, provider=provider))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, and trim the log behind the one before."""
        insert = partial(fact_rows.insert_snapshot, snapshot=snapshot, log_time=snapshot.at)
        await self._database.write(insert)

    def _log(self, provider: str) -> ProviderLog:
        log = self._logs.get(provider)
        if log is None:
            log = self._logs[provider] = ProviderLog()
        return log

    def _recall(self, fact: Fact) -> Logged | None:
        return self._log(fact.provider).recall(fact.fact_id)

    async def _commit(self, batch: Sequence[Append]) -> None:
        try:
            if self._is_unsure:
                await self._catch_up()
            entries = self._placed(batch)
            if entries:
                await self._database.write(partial(fact_rows.insert_facts, entries=entries))
        except StoreUnavailableError:
            self._is_unsure = True
            raise
        self._take(entries)

    async def _catch_up(self) -> None:
        """Learn of entries whose commit was thought to have failed."""
        ends = [(provider, log.position) for provider, log in self._logs.items()]
        found = await self._database.read(
            lambda connection: [
                entry for end in ends for entry in fact_rows.facts_after(connection, *end)
            ]
        )
        self._is_unsure = False
        self._take(found)

    def _placed(self, batch: Iterable[Append]) -> list[Logged]:
        """Entries for those that have none, each at the next position of its provider."""
        ends = {provider: log.position for provider, log in self._logs.items()}
        entries = []
        for append in batch:
            if self._recall(append.fact) is None:
                provider = append.fact.provider
                ends[provider] += 1
                entries.append(Logged(ends[provider], append.asked_at, append.age_s, append.fact))
        return entries

    def _take(self, entries: Iterable[Logged]) -> None:
        """Remember durable entries and deliver them."""
        for entry in entries:
            self._log(entry.fact.provider).deliver(entry)


async def last_logged_at(database: Database) -> float:
    """How far log time has come, of any provider: a clock that begins earlier would turn it back.

    0.0 where nothing was logged. Raises StoreUnavailableError.
    """
    found = await database.read(fact_rows.heads)
    return max((at for _, at in found.values()), default=0.0)
