"""What all tests share."""

from collections.abc import Iterator

import pytest

from tests import postgres


@pytest.fixture(scope="session", autouse=True)
def _postgres_ends() -> Iterator[None]:
    """The server that a test may begin ends with the session."""
    yield
    postgres.stop_server()
