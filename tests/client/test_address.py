"""Keys and tokens travel over TLS, or not beyond this machine."""

from pathlib import Path

import grpc
import pytest

from keybroker import AsyncClient, BrokerUnavailable, Client, SettingError
from keybroker.address import DEFAULT_ADDRESS, find
from tests.client.conftest import AsyncDoor
from tests.client.fake_broker import FakeBroker
from tests.integration.edge.certificates import Pair, make_pair

TOKEN = "token-5ca1ab1e"


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A certificate that signs itself."""
    return make_pair(tmp_path, "broker")


def test_without_any_setting_it_is_this_machine() -> None:
    found = find(environ={})
    assert (found.target, found.credentials, found.metadata) == (DEFAULT_ADDRESS, None, ())


def test_the_environment_is_read(pair: Pair) -> None:
    environ = {
        "KEYBROKER_ADDRESS": "broker.test:50051",
        "KEYBROKER_TOKEN": TOKEN,
        "KEYBROKER_CA": str(pair.cert),
    }
    found = find(environ=environ)
    assert found.target == "broker.test:50051"
    assert found.credentials is not None
    assert found.metadata == (("authorization", f"Bearer {TOKEN}"),)


def test_an_argument_comes_before_the_environment() -> None:
    environ = {"KEYBROKER_ADDRESS": "127.0.0.1:1", "KEYBROKER_TOKEN": "old"}
    found = find("127.0.0.1:2", TOKEN, environ=environ)
    assert found.target == "127.0.0.1:2"
    assert found.token.reveal() == TOKEN
    assert find(token="", environ=environ).metadata == ()


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("localhost:50051", "localhost:50051"),
        ("[::1]:50051", "[::1]:50051"),
        ("http://127.0.0.1:50051", "127.0.0.1:50051"),
        ("unix:/run/keybroker.sock", "unix:/run/keybroker.sock"),
    ],
)
def test_this_machine_needs_no_tls(address: str, target: str) -> None:
    found = find(address, TOKEN, environ={})
    assert (found.target, found.credentials) == (target, None)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("https://broker.test", "broker.test:443"),
        ("https://broker.test:50051/", "broker.test:50051"),
        ("https://[2001:db8::1]:1", "[2001:db8::1]:1"),
    ],
)
def test_https_is_tls(address: str, target: str) -> None:
    found = find(address, environ={})
    assert found.target == target
    assert found.credentials is not None


@pytest.mark.parametrize("address", ["broker.test:50051", "http://broker.test", "10.0.0.8:50051"])
@pytest.mark.parametrize("token", ["", TOKEN])
def test_beyond_this_machine_nothing_goes_in_the_clear(address: str, token: str) -> None:
    """The keys in the answers are as secret as the token."""
    with pytest.raises(SettingError, match="over TLS only") as told:
        find(address, token, environ={})
    assert TOKEN not in str(told.value)


@pytest.mark.parametrize(
    "address", ["broker", "ftp://broker:1", "broker:port", "https://broker/path", "a@b:1", ":1"]
)
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(SettingError, match="host:port"):
        find(address, environ={})


def test_a_ca_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        find("a:1", ca=tmp_path / "none.pem", environ={})
    (tmp_path / "key.pem").write_text("no certificate")
    with pytest.raises(SettingError, match="holds no certificate"):
        find("a:1", ca=tmp_path / "key.pem", environ={})


def test_a_plain_address_with_a_ca_contradicts_itself(pair: Pair) -> None:
    with pytest.raises(SettingError, match="write https://"):
        find("http://127.0.0.1:1", ca=pair.cert, environ={})


def test_a_token_that_no_header_takes_is_told_and_not_shown() -> None:
    with pytest.raises(SettingError) as told:
        find(token=f"{TOKEN}\nx", environ={})
    assert TOKEN not in str(told.value)


def test_a_token_is_not_in_a_repr() -> None:
    with Client(token=TOKEN) as client:
        assert TOKEN not in repr(client) + repr(vars(client)) + repr(find(token=TOKEN))


async def test_tls_and_token_work_over_a_real_connection(pair: Pair) -> None:
    broker = FakeBroker()
    broker.start(_credentials(pair))
    try:
        async with AsyncClient(f"localhost:{broker.port}", token=TOKEN, ca=pair.cert) as client:
            await AsyncDoor(client).lease()
        assert {each["authorization"] for each in broker.metadata} == {f"Bearer {TOKEN}"}
    finally:
        broker.stop()


async def test_a_broker_with_another_certificate_is_not_talked_to(
    pair: Pair, tmp_path: Path
) -> None:
    broker = FakeBroker()
    broker.start(_credentials(make_pair(tmp_path, "impostor")))
    try:
        address = f"localhost:{broker.port}"
        async with AsyncClient(address, token=TOKEN, ca=pair.cert, timeout=0.5) as client:
            with pytest.raises(BrokerUnavailable):
                await AsyncDoor(client).lease()
        assert broker.metadata == []
    finally:
        broker.stop()


def _credentials(pair: Pair) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.cert.read_bytes())])
