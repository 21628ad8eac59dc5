"""What several brokers on one database tell each other, and text in one order everywhere."""

import sqlalchemy as sa
from alembic import op

from broker.adapters.sql.migrations import triggers
from broker.adapters.sql.types import Xid

revision = "0002"
down_revision = "0001"

_FIRST_TABLES = (
    "keys",
    "key_revisions",
    "tenant_policies",
    "last_good",
    "marks",
    "events",
    "facts",
    "snapshots",
)
_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, and on PostgreSQL what fills them."""
    is_postgresql = op.get_context().dialect.name == "postgresql"
    if is_postgresql:
        _order_text_by_bytes()
    op.create_table(
        "changes",
        sa.Column("number", _COUNTED, primary_key=True),
        sa.Column("topic", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("xid", Xid().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_xid", "changes", ["xid"])
    op.create_index("ix_changes_at", "changes", ["at"])
    op.create_table(
        "log_heads",
        sa.Column("provider", _TEXT, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "agreements",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("value", _TEXT, nullable=False),
    )
    op.create_table(
        "replicas",
        sa.Column("replica", _TEXT, primary_key=True),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("sealing_keys", _TEXT, nullable=False),
    )
    op.create_index("ix_last_good_sealed_by", "last_good", ["sealed_by"])
    if is_postgresql:
        triggers.make()


def downgrade() -> None:
    """Drop them; what brokers told each other is not needed by one alone."""
    if op.get_context().dialect.name == "postgresql":
        triggers.drop()
    op.drop_index("ix_last_good_sealed_by", "last_good")
    for table in ("replicas", "agreements", "log_heads", "changes"):
        op.drop_table(table)


def _order_text_by_bytes() -> None:
    """As Python and SQLite compare it; by default the database's language decides."""
    inspected = sa.inspect(op.get_bind())
    for table in _FIRST_TABLES:
        texts = [c["name"] for c in inspected.get_columns(table) if isinstance(c["type"], sa.Text)]
        changes = [f'ALTER COLUMN "{name}" TYPE text COLLATE "C"' for name in texts]
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
