"""The broker's own keys beside another system's table, in which nothing stands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.ports.key_store import KeyStore
from tests.integration.mapped.mapped_given import in_sqlite, reading


@asynccontextmanager
async def beside_a_table() -> AsyncIterator[KeyStore]:
    """A store that reads both."""
    async with in_sqlite() as theirs:
        await theirs.do("CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT)")
        async with reading(theirs) as given:
            yield given.store
