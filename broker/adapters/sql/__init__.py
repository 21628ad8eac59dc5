"""What must outlive the process, in one SQLite file."""

from broker.adapters.sql.database import Database
from broker.adapters.sql.event_history import SqlEventHistory
from broker.adapters.sql.fact_log import SqlFactLog, last_logged_at
from broker.adapters.sql.key_store import SqlKeyStore
from broker.adapters.sql.last_good_store import SqlLastGoodStore, sealing_keys
from broker.adapters.sql.mark_store import SqlMarkStore

__all__ = [
    "Database",
    "SqlEventHistory",
    "SqlFactLog",
    "SqlKeyStore",
    "SqlLastGoodStore",
    "SqlMarkStore",
    "last_logged_at",
    "sealing_keys",
]
