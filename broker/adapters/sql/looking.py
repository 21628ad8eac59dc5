"""Looking for what others committed: by the numbers of transactions, whenever these end."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from broker.adapters.sql.shared_rows import End
from broker.ports.changes import Changed, Subject

if TYPE_CHECKING:  # slow to import, and not needed for a file
    import psycopg

Connection: TypeAlias = "psycopg.Connection[Any]"

KEPT_S = 600.0
"""How long a change is kept after it was made."""

SETTLED_S = 120.0
"""How long it is kept after its transaction ended, which may have taken longer than KEPT_S."""

MAX_GAP_S = 60.0
"""Who has not looked for so long may have missed what was pruned; well below SETTLED_S."""

PRUNE_EVERY_S = 30.0

_PRUNED_AT_ONCE = 10_000

_LOOK = """
SELECT now.snapshot::text, now.at, new.topic, new.name
FROM (
    SELECT pg_current_snapshot() AS snapshot, extract(epoch FROM clock_timestamp())::float8 AS at
) AS now
LEFT JOIN changes AS new
    ON new.xid >= pg_snapshot_xmin(%(before)s::pg_snapshot)
    AND NOT pg_visible_in_snapshot(new.xid, %(before)s::pg_snapshot)
ORDER BY new.number
"""
"""What is seen now and was not `before`: however long a transaction of anybody's is under way, of
the changes made meanwhile each is told once."""

_ENDS = "SELECT provider, position, at FROM log_heads"

_PRUNE = """
DELETE FROM changes WHERE number IN (
    SELECT number FROM changes WHERE at < %s AND xid < %s::text::xid8
    LIMIT %s FOR UPDATE SKIP LOCKED
)
"""

EVERYTHING = Changed(Subject.EVERYTHING)


@dataclass(frozen=True, slots=True)
class Look:
    """What is new, and where the logs of facts end."""

    changes: tuple[Changed, ...]
    ends: Mapping[str, End]


@dataclass(slots=True)
class Looking:
    """One reader of the changes, who begins with its first look.

    All transactions before `_horizon` had ended by the last look.
    """

    _snapshot: str | None = None
    _horizon: int = 0
    _looked_at: float = 0.0
    _horizons: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, connection: Connection) -> Look:
        """What changed since the last look; nothing at the first one. Raises psycopg.Error."""
        rows = connection.execute(_LOOK, {"before": self._snapshot}).fetchall()
        snapshot, now, *_ = rows[0]
        horizon, is_first = int(snapshot.partition(":")[0]), self._snapshot is None
        is_doubtful = horizon < self._horizon or now - self._looked_at > MAX_GAP_S
        new = [(topic, name) for _, _, topic, name in rows if topic is not None]
        self._snapshot, self._horizon, self._looked_at = snapshot, horizon, now
        ends = {
            provider: End(position, at)
            for provider, position, at in connection.execute(_ENDS).fetchall()
        }
        if is_first:
            return Look((), ends)
        if is_doubtful:
            return Look((EVERYTHING,), ends)
        return Look(tuple(_changed(topic, name) for topic, name in dict.fromkeys(new)), ends)

    def prune(self, connection: Connection) -> None:
        """Forget changes that every reader has seen, or knows to have missed.

        Raises psycopg.Error.
        """
        now, past = self._looked_at, self._horizons
        if past and past[-1][0] > now - PRUNE_EVERY_S:
            return
        past.append((now, self._horizon))
        if past[0][0] > now - SETTLED_S:
            return
        _, settled = past.popleft()
        connection.execute(_PRUNE, [now - KEPT_S, str(settled), _PRUNED_AT_ONCE])


def _changed(topic: str, name: str) -> Changed:
    """A topic of another version may be anything."""
    try:
        return Changed(Subject(topic), name)
    except ValueError:
        return EVERYTHING
