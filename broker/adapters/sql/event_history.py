"""The history of events as a table: recording queues them, and one commit keeps many."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog
from sqlalchemy import Connection, delete, func, insert, or_, select

from broker.adapters.sql.database import Database
from broker.adapters.sql.rows import AnyRow, time_of
from broker.adapters.sql.schema import EVENTS
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.event_history import Event

KEEP_S = 30 * 24 * 3600.0
KEEP_ROWS = 100_000

MAX_QUEUE = 10_000
"""Events that wait for a database that does not work; beyond, the oldest are forgotten."""

MAX_BATCH = 500

RETRY_S = 1.0

PRUNE_ROWS = 500
"""Events that one commit forgets, so that nothing waits long for it."""

log = structlog.get_logger("keybroker")

_E = EVENTS.c


class SqlEventHistory:
    """Events by number; those older than `keep_s`, or beyond `keep_rows`, are forgotten."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        keep_s: float = KEEP_S,
        keep_rows: int = KEEP_ROWS,
        max_queue: int = MAX_QUEUE,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_s = keep_s
        self._keep_rows = keep_rows
        self._max_queue = max_queue
        self._queue: deque[Event] = deque()
        self._recorded = 0
        self._settled = 0
        self._dropped = 0
        self._writing: asyncio.Task[StoreUnavailableError | None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._unpruned = PRUNE_ROWS

    def record(self, event: Event) -> None:
        """Queue an event for the next commit."""
        if len(self._queue) >= self._max_queue:
            self._queue.popleft()
            self._settled += 1
            self._dropped += 1
        self._queue.append(event)
        self._recorded += 1
        if self._retry is None:
            self._write_soon()

    async def page(
        self,
        *,
        before: int | None,
        limit: int,
        provider: str = "",
        kinds: frozenset[str] = frozenset(),
        since: float = 0.0,
    ) -> tuple[list[Event], int | None]:
        """One page, with all that was recorded before; a cursor is an event's number.

        Raises StoreUnavailableError.
        """
        await self._settle()
        oldest = max(since, self._clock.now() - self._keep_s)
        query = select(EVENTS).where(_E.at >= oldest).order_by(_E.number.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(_E.number < before)
        if provider:
            query = query.where(_E.provider == provider)
        if kinds:
            query = query.where(_E.kind.in_(sorted(kinds)))
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        events = [event for row in rows[:limit] if (event := _event_of(row)) is not None]
        return events, rows[limit - 1].number if len(rows) > limit else None

    async def close(self) -> None:
        """Keep what was recorded, if the database takes it."""
        with suppress(StoreUnavailableError):
            await self._settle()
        lost = self._recorded - self._settled
        if lost:
            log.error("events_lost", events=lost, detail=self._database.fault)
        if self._retry is not None:
            self._retry.cancel()
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.wait({self._pruning})

    async def _settle(self) -> None:
        """Write what was recorded until now; raises StoreUnavailableError."""
        until = self._recorded
        while self._settled < until:
            self._write_soon()
            if self._writing is None:
                return  # what it wanted was dropped meanwhile
            writing = self._writing
            await asyncio.wait({writing})
            error = writing.result()
            if error is not None:
                raise StoreUnavailableError(str(error))

    def _write_soon(self) -> None:
        """Begin a write, unless one is under way: that goes on with what was queued meanwhile."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._writing is None and self._queue:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> StoreUnavailableError | None:
        """Write one batch; what was not written is queued again, and tried in a while."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
        try:
            await self._database.write(partial(_insert, events=batch))
        except StoreUnavailableError as error:
            self._queue.extendleft(reversed(batch))
            self._writing = None
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._write_soon)
            return error
        self._writing = None
        self._settled += len(batch)
        if self._dropped:
            log.error("events_dropped", events=self._dropped)
            self._dropped = 0
        self._unpruned += len(batch)
        if self._unpruned >= PRUNE_ROWS and (self._pruning is None or self._pruning.done()):
            self._pruning = asyncio.get_running_loop().create_task(self._prune())
        self._write_soon()
        return None

    async def _prune(self) -> None:
        """Forget the oldest, a few a commit."""
        self._unpruned = 0
        before = self._clock.now() - self._keep_s
        prune = partial(_forget_some, before=before, keep_rows=self._keep_rows)
        try:
            while await self._database.write(prune):
                pass
        except StoreUnavailableError:
            self._unpruned = PRUNE_ROWS  # again after the next write


def _insert(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {
            "at": event.at,
            "kind": event.kind,
            "provider": event.provider,
            "record": json.dumps(
                {
                    "event_id": event.event_id,
                    "message": event.message,
                    "key_id": event.key_id,
                    "model": event.model,
                    "principal": event.principal,
                    "attributes": dict(event.attributes),
                },
                default=str,
            ),
        }
        for event in events
    ]
    connection.execute(insert(EVENTS), rows)


def _event_of(row: AnyRow) -> Event | None:
    """The event of a row; one that cannot be read is left out, so that others can be paged."""
    try:
        told = json.loads(row.record)
        return Event(at=time_of(row.at), kind=row.kind, provider=row.provider, **told)
    except (ValueError, TypeError):
        log.warning("event_unreadable", number=row.number)
        return None


def _forget_some(connection: Connection, before: float, keep_rows: int) -> bool:
    """Forget up to PRUNE_ROWS of what is too old or too many; say whether there may be more."""
    newest = connection.scalar(select(func.max(_E.number))) or 0
    due = select(_E.number).where(or_(_E.at < before, _E.number <= newest - keep_rows))
    some = due.order_by(_E.number).limit(PRUNE_ROWS)
    gone = connection.execute(delete(EVENTS).where(_E.number.in_(some)))
    return gone.rowcount == PRUNE_ROWS
