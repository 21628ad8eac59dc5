"""The tables, as the newest migration leaves them.

Times are epoch seconds. What is only ever read whole is JSON in a text column.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
)

from broker.adapters.sql.types import COUNTED, TEXT, XID

REVISION = "0002"
"""The migration that these tables agree with."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEYS = Table(
    "keys",
    METADATA,
    Column("key_id", TEXT, primary_key=True),
    Column("tenant", TEXT, nullable=False),
    Column("provider", TEXT, nullable=False),
    Column("models", TEXT, nullable=False),
    Column("weight", Double, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("concurrency", BigInteger, nullable=False),
    Column("requests_per_minute", BigInteger, nullable=False),
    Column("tokens_per_minute", BigInteger, nullable=False),
    Column("account", TEXT, nullable=False),
    Column("expires_at", Double, nullable=True),
    Column("base_url", TEXT, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "tenant", "provider", "key_id"),
    Index(None, "provider", "key_id"),
)

KEY_REVISIONS = Table(
    "key_revisions",
    METADATA,
    Column("key_id", TEXT, ForeignKey("keys.key_id", ondelete="CASCADE"), primary_key=True),
    Column("revision", TEXT, primary_key=True),
    Column("tenant", TEXT, nullable=False),
    Column("provider", TEXT, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("sealed_by", TEXT, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("authenticated_at", Double, nullable=True),
    UniqueConstraint("tenant", "provider", "revision"),
    Index(None, "sealed_by"),
)
"""A key's secrets; the one of the highest rank is the newest."""

TENANT_POLICIES = Table(
    "tenant_policies",
    METADATA,
    Column("tenant", TEXT, primary_key=True),
    Column("provider", TEXT, primary_key=True),
    Column("mode", TEXT, nullable=False),
    Column("fall_through", TEXT, nullable=False),
    Column("set_by", TEXT, nullable=False),
    Column("set_at", Double, nullable=False),
)

LAST_GOOD = Table(
    "last_good",
    METADATA,
    Column("key_id", TEXT, primary_key=True),
    Column("provider", TEXT, nullable=False),
    Column("revision", TEXT, nullable=False),
    Column("sealed_by", TEXT, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("authenticated_at", Double, nullable=False),
    Index(None, "sealed_by"),
)

MARKS = Table(
    "marks",
    METADATA,
    Column("kind", TEXT, primary_key=True),
    Column("subject", TEXT, primary_key=True),
    Column("at", Double, nullable=False),
    Column("principal", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("number", COUNTED, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("provider", TEXT, nullable=False),
    Column("record", TEXT, nullable=False),
    Index(None, "at"),
    Index(None, "kind", "number"),
    Index(None, "provider", "number"),
    sqlite_autoincrement=True,  # a cursor must stay true after the newest event was pruned
)

FACTS = Table(
    "facts",
    METADATA,
    Column("provider", TEXT, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("age_s", Double, nullable=False),
    Column("record", TEXT, nullable=False),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("provider", TEXT, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("record", TEXT, nullable=False),
)

CHANGES = Table(
    "changes",
    METADATA,
    Column("number", COUNTED, primary_key=True),
    Column("topic", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("xid", XID, nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "xid"),
    Index(None, "at"),
    sqlite_autoincrement=True,
)
"""What brokers on a shared database tell each other; PostgreSQL's triggers write it."""

LOG_HEADS = Table(
    "log_heads",
    METADATA,
    Column("provider", TEXT, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)
"""Where each provider's log ends; whoever appends has its row locked."""

AGREEMENTS = Table(
    "agreements",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
)

REPLICAS = Table(
    "replicas",
    METADATA,
    Column("replica", TEXT, primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("sealing_keys", TEXT, nullable=False),
)
