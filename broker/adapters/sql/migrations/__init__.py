"""How the schema came to be what it is, step by step: what alembic runs when a database opens."""
