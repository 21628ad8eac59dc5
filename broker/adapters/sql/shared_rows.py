"""The rows of a log that several brokers write: places are given under a lock of its head.

All of this runs within one transaction and knows nothing of the event loop: it may be done twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Double, cast, extract, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_if_new

from broker.adapters.sql import fact_rows
from broker.adapters.sql.appends import Append
from broker.adapters.sql.rows import AnyRow
from broker.adapters.sql.schema import FACTS, LOG_HEADS
from broker.core.health import FACT_MEMORY_S
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError, StoreUnusableError

_SNAPSHOTS_LOCK = 0x6B62_736E
"""Whose advisory locks these are, one for each provider."""

_F, _H = FACTS.c, LOG_HEADS.c

_NOW = cast(extract("epoch", func.clock_timestamp()), Double)


class End(NamedTuple):
    """An end of a log: the position of its last entry, and that entry's log time."""

    position: int
    at: float


START = End(0, 0.0)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a provider's log goes on after what was known of it.

    Where it does not go on from there, because entries are gone or it is another log, `recent`
    holds the entries whose ids are still remembered, and `entries` only what was just appended.
    """

    provider: str
    end: End
    entries: Sequence[Logged] = ()
    recent: Sequence[Logged] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Facts to append to a provider's log, which is known up to a place.

    `remembered` are entries of the same ids, which may be too old to count.
    """

    provider: str
    known: End
    appends: Sequence[Append]
    remembered: Mapping[str, Logged]


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append found and made, and which backend of the database did it."""

    growths: Sequence[Growth]
    backend: int


def heads(connection: Connection, providers: Iterable[str] | None = None) -> dict[str, End]:
    """Where each provider's log ends."""
    query = select(_H.provider, _H.position, _H.at)
    if providers is not None:
        query = query.where(_H.provider.in_(sorted(providers)))
    return {row.provider: End(row.position, row.at) for row in connection.execute(query)}


def mend_heads(connection: Connection) -> None:
    """See that each log that has facts or a snapshot has a head, and that none is beyond it."""
    found = fact_rows.heads(connection)
    if not found:
        return
    values = [
        {"provider": provider, "position": position, "at": at}
        for provider, (position, at) in sorted(found.items())
    ]
    new = insert_if_new(LOG_HEADS)
    ahead = new.excluded.position > _H.position
    mended = {"position": new.excluded.position, "at": func.greatest(_H.at, new.excluded.at)}
    connection.execute(
        new.on_conflict_do_update(index_elements=[_H.provider], set_=mended, where=ahead), values
    )


def read_on(connection: Connection, known: Mapping[str, End]) -> list[Growth]:
    """How logs go on after these places."""
    ends = heads(connection, known)
    return [
        _growth(connection, provider, place, ends.get(provider, START))
        for provider, place in known.items()
    ]


def beginning(connection: Connection, provider: str, after: int) -> list[Logged] | None:
    """The entries after a position; None where some are gone and a snapshot stands for them."""
    rows = _rows(connection, provider, after + 1)
    end = heads(connection, [provider]).get(provider, START)
    goes_on = rows[0].position == after + 1 if rows else end.position == after
    if not goes_on and _has_better(connection, provider, after):
        return None
    return fact_rows.entries(rows)


def append(connection: Connection, wanted: Sequence[Wanted], clock: Clock) -> Appended:
    """Append what the logs do not have yet, and read what others appended before."""
    known = {each.provider: each.known for each in wanted}
    ends, now = _locked(connection, known)
    growths, new, backend = [], [], 0
    for each in wanted:
        growth = _growth(connection, each.provider, each.known, ends[each.provider])
        missing = list(_missing(each, growth, now))
        if missing:
            end, backend = _move_head(connection, each.provider, len(missing))
            made = list(_entries(missing, end, clock.now()))
            new += made
            growth = Growth(each.provider, end, (*growth.entries, *made), growth.recent)
        growths.append(growth)
    if new:
        fact_rows.insert_facts(connection, new)
    return Appended(growths, backend)


def save_snapshot(connection: Connection, snapshot: Snapshot) -> None:
    """Keep a snapshot and trim the log, unless another broker is about to do the same.

    It never waits for a lock: the transaction may hold locks that others wait for.
    """
    name = func.hashtext(snapshot.provider)
    if not connection.scalar(select(func.pg_try_advisory_xact_lock(_SNAPSHOTS_LOCK, name))):
        raise StoreUnavailableError("another broker keeps a snapshot at this moment")
    end = heads(connection, [snapshot.provider]).get(snapshot.provider, START)
    if snapshot.position > end.position:
        raise StoreUnavailableError("the log that this snapshot is of is gone")
    now = connection.scalar(select(_NOW)) or 0.0
    fact_rows.insert_snapshot(connection, snapshot, min(snapshot.at, now))


def _locked(connection: Connection, known: Mapping[str, End]) -> tuple[dict[str, End], float]:
    """Where logs end, and about when: nobody else appends until the transaction ends.

    Heads are locked in the order of names, so that two brokers never wait for each other.
    """
    unknown = sorted(provider for provider, place in known.items() if place == START)
    if unknown:
        _make_heads(connection, unknown)
    query = select(_H.provider, _H.position, _H.at, _NOW.label("now"))
    query = query.where(_H.provider.in_(sorted(known))).order_by(_H.provider).with_for_update()
    rows = connection.execute(query).fetchall()
    if len(rows) < len(known):
        raise StoreUnavailableError("the head of a log was deleted")
    ends = {row.provider: End(row.position, row.at) for row in rows}
    return ends, max(row.now for row in rows)


def _make_heads(connection: Connection, providers: Iterable[str]) -> None:
    new = insert_if_new(LOG_HEADS).on_conflict_do_nothing()
    connection.execute(
        new, [{"provider": provider, "position": 0, "at": 0.0} for provider in providers]
    )


def _growth(connection: Connection, provider: str, known: End, end: End) -> Growth:
    """How a log that was known up to a place goes on to its end.

    The entry at that place is read too: only if it is the same, the log is still the same.
    """
    if end == known:
        return Growth(provider, end)
    rows = _rows(connection, provider, known.position)
    if known == START:
        is_same = rows[0].position == 1 if rows else end.position == 0
    else:
        is_same = bool(rows) and (rows[0].position, rows[0].at) == known
        rows = rows[1:]
    if is_same:
        return Growth(provider, end, fact_rows.entries(rows))
    return Growth(provider, end, recent=fact_rows.lately(connection, provider, end.at))


def _rows(connection: Connection, provider: str, first: int) -> Sequence[AnyRow]:
    query = select(FACTS).where(_F.provider == provider, _F.position >= first)
    return connection.execute(query.order_by(_F.position)).fetchall()


def _has_better(connection: Connection, provider: str, after: int) -> bool:
    """Is there a snapshot that a follower can begin with, other than the one it began with?"""
    try:
        snapshot = fact_rows.newest_snapshot(connection, provider)
    except StoreUnusableError:
        return False
    return snapshot is not None and snapshot.position != after


def _missing(wanted: Wanted, growth: Growth, now: float) -> Iterator[Append]:
    """The facts that the log does not remember."""
    found = {entry.fact.fact_id: entry for entry in (*growth.entries, *(growth.recent or ()))}
    remembered = {**wanted.remembered, **found} if growth.recent is None else found
    for append in wanted.appends:
        entry = remembered.get(append.fact.fact_id)
        if entry is None or entry.at <= now - FACT_MEMORY_S:
            yield append


def _move_head(connection: Connection, provider: str, entries: int) -> tuple[End, int]:
    """Make room for entries, all at the log's present time."""
    moved = (
        update(LOG_HEADS)
        .where(_H.provider == provider)
        .values(position=_H.position + entries, at=func.greatest(_H.at, _NOW))
        .returning(_H.position, _H.at, func.pg_backend_pid())
    )
    position, at, backend = connection.execute(moved).one()
    return End(position, at), backend


def _entries(appends: Sequence[Append], end: End, now: float) -> Iterator[Logged]:
    """Entries up to an end; since they were asked for, facts have aged."""
    first = end.position - len(appends) + 1
    for position, append in enumerate(appends, first):
        age_s = append.age_s + max(now - append.asked_at, 0.0)
        yield Logged(position, end.at, age_s, append.fact)
