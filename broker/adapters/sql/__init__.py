"""What must outlive the process: in a SQLite file, or a PostgreSQL database that brokers share."""

from broker.adapters.sql.agreements import SqlAgreements
from broker.adapters.sql.change_feed import SqlChangeFeed
from broker.adapters.sql.database import Database
from broker.adapters.sql.event_history import SqlEventHistory
from broker.adapters.sql.fact_log import SqlFactLog, last_logged_at
from broker.adapters.sql.key_store import SqlKeyStore
from broker.adapters.sql.last_good_store import SqlLastGoodStore, sealing_keys
from broker.adapters.sql.mark_store import SqlMarkStore
from broker.adapters.sql.sealed_rows import SqlSealedRows
from broker.adapters.sql.shared_fact_log import SqlSharedFactLog
from broker.adapters.sql.upgrading import current_revision, downgrade_database, upgrade_database

__all__ = [
    "Database",
    "SqlAgreements",
    "SqlChangeFeed",
    "SqlEventHistory",
    "SqlFactLog",
    "SqlKeyStore",
    "SqlLastGoodStore",
    "SqlMarkStore",
    "SqlSealedRows",
    "SqlSharedFactLog",
    "current_revision",
    "downgrade_database",
    "last_logged_at",
    "sealing_keys",
    "upgrade_database",
]
