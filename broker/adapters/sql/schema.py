"""The tables, as the newest migration leaves them.

Times are epoch seconds. What is only ever read whole is JSON in a text column.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0001"
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
    Column("key_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("weight", Double, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("concurrency", BigInteger, nullable=False),
    Column("requests_per_minute", BigInteger, nullable=False),
    Column("tokens_per_minute", BigInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("expires_at", Double, nullable=True),
    Column("base_url", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "tenant", "provider", "key_id"),
    Index(None, "provider", "key_id"),
)

KEY_REVISIONS = Table(
    "key_revisions",
    METADATA,
    Column("key_id", Text, ForeignKey("keys.key_id", ondelete="CASCADE"), primary_key=True),
    Column("revision", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("sealed_by", Text, nullable=False),
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
    Column("tenant", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("fall_through", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Double, nullable=False),
)

LAST_GOOD = Table(
    "last_good",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("sealed_by", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("authenticated_at", Double, nullable=False),
)

MARKS = Table(
    "marks",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("principal", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("record", Text, nullable=False),
    Index(None, "at"),
    Index(None, "kind", "number"),
    Index(None, "provider", "number"),
    sqlite_autoincrement=True,  # a cursor must stay true after the newest event was pruned
)

FACTS = Table(
    "facts",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("age_s", Double, nullable=False),
    Column("record", Text, nullable=False),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("record", Text, nullable=False),
)
