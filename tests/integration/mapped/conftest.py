"""Each test of a mapped table runs on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.mapped.mapped_given import DATABASES, Theirs


@pytest.fixture(params=DATABASES)
async def theirs(request: pytest.FixtureRequest) -> AsyncIterator[Theirs]:
    async with DATABASES[request.param]() as theirs:
        yield theirs
