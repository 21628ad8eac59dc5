"""The way to a broker on this machine leads through nobody else."""

import socket
from collections.abc import Iterator

import pytest

from tests.client.conftest import Door


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A listening socket that the environment names as the proxy for everything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening


async def test_a_proxy_of_the_environment_was_sent_token_and_secrets_in_the_clear(
    proxy: socket.socket, door: Door
) -> None:
    await door.lease()
    with pytest.raises(BlockingIOError):
        proxy.accept()
