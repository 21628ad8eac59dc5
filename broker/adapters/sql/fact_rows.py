"""Facts and snapshots as rows, and what each provider's log begins with."""

import json
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog
from sqlalchemy import Connection, case, delete, func, insert, select

from broker.adapters.sql.rows import NO_TIME_S, AnyRow, time_of
from broker.adapters.sql.schema import FACTS, SNAPSHOTS
from broker.core.health import FACT_MEMORY_S
from broker.core.records import (
    Record,
    RecordError,
    fact_of,
    fact_record,
    snapshot_of,
    snapshot_record,
)
from broker.core.replica import Logged
from broker.core.snapshot import Snapshot
from broker.ports.errors import StoreUnusableError

T = TypeVar("T")

KEPT_SNAPSHOTS = 2
"""With the one before the newest, and the facts since, nothing is lost where the newest is
damaged."""

log = structlog.get_logger("keybroker")

_F, _S = FACTS.c, SNAPSHOTS.c


def insert_facts(connection: Connection, entries: Iterable[Logged]) -> None:
    """Append entries; their positions must be free."""
    rows = [
        {
            "provider": entry.fact.provider,
            "position": entry.position,
            "at": entry.at,
            "age_s": entry.age_s,
            "record": json.dumps(fact_record(entry.fact)),
        }
        for entry in entries
    ]
    connection.execute(insert(FACTS), rows)


def facts_after(connection: Connection, provider: str, position: int) -> list[Logged]:
    """A provider's entries after a position, in order, without those that cannot be read."""
    query = select(FACTS).where(_F.provider == provider, _F.position > position)
    rows = connection.execute(query.order_by(_F.position)).fetchall()
    return entries(rows)


def lately(connection: Connection, provider: str, at: float) -> list[Logged]:
    """A provider's entries whose ids the log still knows at a log time."""
    query = select(FACTS).where(_F.provider == provider, _F.at > at - FACT_MEMORY_S)
    rows = connection.execute(query.order_by(_F.position)).fetchall()
    return entries(rows)


def entries(rows: Iterable[AnyRow]) -> list[Logged]:
    """Entries from their rows, without those that cannot be read."""
    read = (_read("fact_unreadable", row, _logged_of) for row in rows)
    return [entry for entry in read if entry is not None]


def heads(connection: Connection) -> dict[str, tuple[int, float]]:
    """The last position of each provider's log, and how far its log time has come."""
    found: dict[str, tuple[int, float]] = {}
    for table in (FACTS, SNAPSHOTS):
        # Text, which SQLite may hold as well, compares as later than any number.
        believed = case((table.c.at < NO_TIME_S, table.c.at), else_=0.0)
        at, position = func.max(believed), func.max(table.c.position)
        query = select(table.c.provider, position, at).group_by(table.c.provider)
        for provider, last, log_time in connection.execute(query):
            before = found.get(provider, (0, 0.0))
            found[provider] = (max(before[0], last), max(before[1], log_time))
    return found


def newest_snapshot(connection: Connection, provider: str) -> Snapshot | None:
    """The newest snapshot that can be read; None where the log goes back to its beginning.

    Raises StoreUnusableError where entries are gone and no snapshot stands for them.
    """
    query = select(SNAPSHOTS).where(_S.provider == provider).order_by(_S.position.desc())
    rows = connection.execute(query).fetchall()
    for row in rows:
        snapshot = _read("snapshot_unreadable", row, _snapshot_of)
        if snapshot is not None:
            return snapshot
    first = connection.scalar(select(func.min(_F.position)).where(_F.provider == provider))
    if first == 1 or (first is None and not rows):
        return None
    raise StoreUnusableError(
        f"the health of {provider} cannot be read from the database: no snapshot of it makes sense,"
        " and the facts before are gone. Run the version that wrote it, or restore a backup; to"
        f" begin with every key of {provider} taken as healthy, delete its rows from the tables"
        " snapshots, facts and log_heads."
    )


def insert_snapshot(connection: Connection, snapshot: Snapshot, log_time: float) -> None:
    """Keep a snapshot, and forget those and the facts that are needless at a log time."""
    of_provider = _S.provider == snapshot.provider
    is_same = of_provider & (_S.position == snapshot.position)
    connection.execute(delete(SNAPSHOTS).where(is_same))
    connection.execute(
        insert(SNAPSHOTS).values(
            provider=snapshot.provider,
            position=snapshot.position,
            at=snapshot.at,
            record=_spread_out(snapshot_record(snapshot)),
        )
    )
    positions = select(_S.position).where(of_provider).order_by(_S.position.desc())
    kept = connection.scalars(positions.limit(KEPT_SNAPSHOTS)).all()
    connection.execute(delete(SNAPSHOTS).where(of_provider, _S.position < kept[-1]))
    if len(kept) == KEPT_SNAPSHOTS:
        _trim(connection, snapshot.provider, kept[-1], log_time)


def _trim(connection: Connection, provider: str, position: int, log_time: float) -> None:
    """Forget facts that every kept snapshot holds and whose ids are forgotten too."""
    connection.execute(
        delete(FACTS).where(
            _F.provider == provider,
            _F.position <= position,
            _F.at <= log_time - FACT_MEMORY_S,
        )
    )


def _logged_of(row: AnyRow) -> Logged:
    fact = fact_of(_plain(row.record))
    return Logged(int(row.position), time_of(row.at), time_of(row.age_s), fact)


def _read(complaint: str, row: AnyRow, reading: Callable[[AnyRow], T]) -> T | None:
    """What a row holds; where that cannot be read it is logged, and None.

    A fact that cannot be read moves nothing, as if it had not happened: what it said comes back
    with the next call or probe, and is not worth a broker that does not start.
    """
    try:
        return reading(row)
    except (ValueError, TypeError) as error:
        detail = str(error) if isinstance(error, RecordError) else "it is damaged"
    log.error(complaint, provider=row.provider, position=row.position, detail=detail)
    return None


def _snapshot_of(row: AnyRow) -> Snapshot:
    snapshot = snapshot_of(_plain(row.record))
    if (snapshot.provider, snapshot.position) != (row.provider, row.position):
        raise RecordError("it is that of another place")
    time_of(snapshot.at)
    return snapshot


def _spread_out(record: Record) -> str:
    """JSON made item by item: one call for all of a large record holds up every other thread."""
    parts = []
    for name, value in record.items():
        is_long = isinstance(value, list)
        text = f"[{','.join(map(json.dumps, value))}]" if is_long else json.dumps(value)
        parts.append(f"{json.dumps(name)}:{text}")
    return f"{{{','.join(parts)}}}"


def _plain(text: object) -> object:
    """What JSON text holds. Raises RecordError, which quotes nothing of it."""
    try:
        plain: object = json.loads(text if isinstance(text, str) else "")
    except (ValueError, RecursionError):
        raise RecordError("it is no JSON") from None
    return plain
