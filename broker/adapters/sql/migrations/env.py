"""What alembic executes to migrate: it runs on the connection, and in the transaction, given it."""

from alembic import context

from broker.adapters.sql.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
