"""What all tests share."""

import os
from collections.abc import Iterator

import pytest

from tests import postgres

# As root a PostgreSQL is started by a fork, in which gRPC's handlers crash now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")


@pytest.fixture(scope="session", autouse=True)
def _postgres_ends() -> Iterator[None]:
    """The server that a test may begin ends with the session."""
    yield
    postgres.stop_server()
