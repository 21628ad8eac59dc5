"""What all tests share."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests import postgres

# As root a PostgreSQL is started by a fork, in which gRPC's handlers crash now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")


_configure = structlog.configure


def _configure_without_cache(**given: Any) -> None:
    """Loggers that are cached would outlive the test that set them up, and its stream."""
    _configure(**(given | {"cache_logger_on_first_use": False}))


structlog.configure = _configure_without_cache  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def _postgres_ends() -> Iterator[None]:
    """The server that a test may begin ends with the session."""
    yield
    postgres.stop_server()


@pytest.fixture(autouse=True)
def _logging_ends() -> Iterator[None]:
    """What a test, or a command that it runs in this process, sets up of logging ends with it."""
    yield
    structlog.reset_defaults()
