"""The fact log as a table: what is appended while one commit runs is the next commit."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Self

from sqlalchemy import Connection

from broker.adapters.sql import fact_rows
from broker.adapters.sql.database import Database
from broker.core.facts import Fact
from broker.core.health import FACT_MEMORY_S
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.fact_log import Deliver

MAX_BATCH = 500

APPEND_S = 10.0
"""How long an append is waited for: the commit under way, and its own."""


class SqlFactLog:
    """The log of one process: followers hear of an entry once it is durable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._logs: dict[str, _ProviderLog] = {}
        self._waiting: dict[tuple[str, str], _Append] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._is_unsure = False

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """The log, where the last process left it. Raises StoreUnavailableError."""
        log = cls(database, clock)

        def read(connection: Connection) -> None:
            for provider, (position, at) in fact_rows.heads(connection).items():
                recent = fact_rows.lately(connection, provider, at)
                log._logs[provider] = _ProviderLog(position, at, recent)

        await database.read(read)
        return log

    async def append(self, fact: Fact, age_s: float) -> Logged:
        """Append; an id that waits already, or that the log knows, is one entry."""
        log = self._log(fact.provider)
        at = log.tick(self._clock.now())
        known = log.recall(fact.fact_id)
        if known is not None:
            return known
        name = (fact.provider, fact.fact_id)
        waiting = self._waiting.get(name)
        if waiting is None:
            done = asyncio.get_running_loop().create_future()
            waiting = self._waiting[name] = _Append(fact, at, max(age_s, 0.0), done)
            self._flush_soon()
        await asyncio.wait({waiting.done}, timeout=APPEND_S)
        if not waiting.done.done():
            raise StoreUnavailableError(f"the fact log did not answer within {APPEND_S:g} s")
        result = waiting.done.result()
        if isinstance(result, StoreUnavailableError):
            raise StoreUnavailableError(str(result))
        return result

    async def follow(self, provider: str, after: int, deliver: Deliver) -> Callable[[], None]:
        """Deliver what is kept above `after`, then each entry within the append that makes it."""
        log = self._log(provider)
        follower = _Follower(after, deliver)
        log.followers.append(follower)

        def stop() -> None:
            follower.is_stopped = True
            if follower in log.followers:
                log.followers.remove(follower)

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
        await self._database.write(partial(fact_rows.insert_snapshot, snapshot=snapshot))

    def _log(self, provider: str) -> "_ProviderLog":
        log = self._logs.get(provider)
        if log is None:
            log = self._logs[provider] = _ProviderLog(0, 0.0, ())
        return log

    def _flush_soon(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        """Commit what waits, batch by batch, until nothing does."""
        while self._waiting:
            batch = list(islice(self._waiting.values(), MAX_BATCH))
            try:
                if self._is_unsure:
                    await self._catch_up()
                entries = self._placed(batch)
                if entries:
                    await self._database.write(partial(fact_rows.insert_facts, entries=entries))
            except StoreUnavailableError as error:
                self._is_unsure = True
                self._settle(batch, error)
            else:
                self._take(entries)
                self._settle(batch, None)

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

    def _placed(self, batch: "Iterable[_Append]") -> list[Logged]:
        """Entries for those that have none, each at the next position of its provider."""
        ends = {provider: log.position for provider, log in self._logs.items()}
        entries = []
        for append in batch:
            provider = append.fact.provider
            if self._log(provider).recall(append.fact.fact_id) is None:
                ends[provider] += 1
                entries.append(Logged(ends[provider], append.at, append.age_s, append.fact))
        return entries

    def _take(self, entries: Iterable[Logged]) -> None:
        """Remember durable entries and deliver them."""
        for entry in entries:
            log = self._log(entry.fact.provider)
            log.add(entry)
            for follower in tuple(log.followers):
                follower.take(entry)

    def _settle(self, batch: "Iterable[_Append]", error: StoreUnavailableError | None) -> None:
        """Answer who waits: with the entry, or the error where there is none."""
        for append in batch:
            del self._waiting[append.fact.provider, append.fact.fact_id]
            entry = self._log(append.fact.provider).recall(append.fact.fact_id)
            append.done.set_result(entry or error or StoreUnavailableError("the fact is lost"))


@dataclass(frozen=True, slots=True)
class _Append:
    """A fact on its way into the log; the error is a result, as nobody may be waiting."""

    fact: Fact
    at: float
    age_s: float
    done: "asyncio.Future[Logged | StoreUnavailableError]"


class _Follower:
    """One reader, how far it has come, and what came before it could begin."""

    def __init__(self, after: int, deliver: Deliver) -> None:
        self.is_stopped = False
        self._position = after
        self._deliver = deliver
        self._held: list[Logged] | None = []

    def begin(self, kept: Iterable[Logged]) -> None:
        """Deliver what was kept, and what came meanwhile."""
        held, self._held = self._held or [], None
        for entry in (*kept, *held):
            self.take(entry)

    def take(self, entry: Logged) -> None:
        """Deliver an entry that is new to it."""
        if self._held is not None:
            self._held.append(entry)
        elif not self.is_stopped and entry.position > self._position:
            self._position = entry.position
            self._deliver(entry)


class _ProviderLog:
    """Where one provider's log ends, the ids it remembers, and its readers."""

    def __init__(self, position: int, at: float, recent: Iterable[Logged]) -> None:
        self.followers: list[_Follower] = []
        self.position = position
        self._at = at
        self._by_id = {entry.fact.fact_id: entry for entry in recent}

    def tick(self, now: float) -> float:
        """Move log time to `now`, never back, and forget ids."""
        self._at = max(self._at, now)
        while self._by_id:
            oldest = next(iter(self._by_id.values()))
            if oldest.at > self._at - FACT_MEMORY_S:
                break
            del self._by_id[oldest.fact.fact_id]
        return self._at

    def recall(self, fact_id: str) -> Logged | None:
        """The entry of an id that is still remembered."""
        return self._by_id.get(fact_id)

    def add(self, entry: Logged) -> None:
        """Remember an entry as the last."""
        self.position = max(self.position, entry.position)
        self._by_id[entry.fact.fact_id] = entry


async def last_logged_at(database: Database) -> float:
    """How far log time has come, of any provider: a clock that begins earlier would turn it back.

    0.0 where nothing was logged. Raises StoreUnavailableError.
    """
    found = await database.read(fact_rows.heads)
    return max((at for _, at in found.values()), default=0.0)
