"""Tenants' keys and policies, what last worked, marks, events, and the log of facts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _tenants()
    op.create_table(
        "last_good",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        *_sealed(),
        sa.Column("authenticated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_kind_number", "events", ["kind", "number"])
    op.create_index("ix_events_provider_number", "events", ["provider", "number"])
    _health()


def downgrade() -> None:
    """Drop them, with all they hold."""
    for table in (
        "snapshots",
        "facts",
        "events",
        "marks",
        "last_good",
        "tenant_policies",
        "key_revisions",
        "keys",
    ):
        op.drop_table(table)


def _tenants() -> None:
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("priority", sa.BigInteger, nullable=False),
        sa.Column("concurrency", sa.BigInteger, nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger, nullable=False),
        sa.Column("tokens_per_minute", sa.BigInteger, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=True),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_index("ix_keys_tenant_provider_key_id", "keys", ["tenant", "provider", "key_id"])
    op.create_index("ix_keys_provider_key_id", "keys", ["provider", "key_id"])
    op.create_table(
        "key_revisions",
        sa.Column(
            "key_id", sa.Text, sa.ForeignKey("keys.key_id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("revision", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        *_sealed(),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("authenticated_at", sa.Double, nullable=True),
        sa.UniqueConstraint("tenant", "provider", "revision"),
    )
    op.create_index("ix_key_revisions_sealed_by", "key_revisions", ["sealed_by"])
    op.create_table(
        "tenant_policies",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("fall_through", sa.Text, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("set_at", sa.Double, nullable=False),
    )


def _health() -> None:
    op.create_table(
        "facts",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("age_s", sa.Double, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "snapshots",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )


def _sealed() -> tuple[sa.Column[str], sa.Column[bytes], sa.Column[bytes]]:
    """The columns of a sealed secret."""
    return (
        sa.Column("sealed_by", sa.Text, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    )
