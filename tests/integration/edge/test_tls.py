"""TLS: both servers, with and without certificates of clients."""

import ssl
from pathlib import Path

import grpc
import httpx
import pytest

from broker.config import SettingsError, load_settings
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from tests.integration.edge.certificates import Pair, make_pair
from tests.integration.edge.conftest import ASK, OpenApp


@pytest.fixture
def server(tmp_path: Path) -> Pair:
    return make_pair(tmp_path, "server")


async def acquires(port: int, credentials: grpc.ChannelCredentials) -> bool:
    """Does a client with these credentials get a lease?"""
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        try:
            answer = await LeaseServiceStub(channel).AcquireLease(ASK, timeout=5)
        except grpc.aio.AioRpcError:
            return False
        return answer.HasField("lease")


async def test_both_servers_speak_tls(open_app: OpenApp, server: Pair) -> None:
    app = await open_app(tls_cert=server.cert, tls_key=server.key)
    trusting = grpc.ssl_channel_credentials(server.cert.read_bytes())
    assert await acquires(app.grpc_port, trusting)
    context = ssl.create_default_context(cafile=server.cert)
    async with httpx.AsyncClient(verify=context) as http:
        answer = await http.get(f"https://localhost:{app.http_port}/readyz")
    assert answer.status_code == 200


async def test_a_client_ca_asks_for_a_certificate(
    open_app: OpenApp, server: Pair, tmp_path: Path
) -> None:
    client = make_pair(tmp_path, "client")
    app = await open_app(tls_cert=server.cert, tls_key=server.key, tls_client_ca=client.cert)
    root = server.cert.read_bytes()
    known = grpc.ssl_channel_credentials(root, client.key.read_bytes(), client.cert.read_bytes())
    assert await acquires(app.grpc_port, known)
    assert not await acquires(app.grpc_port, grpc.ssl_channel_credentials(root))


def test_files_that_do_not_match_are_told(server: Pair, tmp_path: Path) -> None:
    other = make_pair(tmp_path, "other")
    with pytest.raises(SettingsError, match="KEYBROKER_TLS_KEY: does not belong to"):
        load_settings(
            {
                "KEYBROKER_TLS_CERT": str(server.cert),
                "KEYBROKER_TLS_KEY": str(other.key),
                "KEYBROKER_ENV_FILE": "/dev/null",
            }
        )
