"""Secrets Manager as moto plays it: real HTTP, real boto3."""

import json
from collections.abc import AsyncIterator

import pytest

from broker.adapters.aws import AwsClients, SecretsManagerSource, Selector
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot
from tests.aws import Vault, aws_clients, aws_url, new_prefix

PROVIDERS = ("openai", "anthropic")


@pytest.fixture
async def clients() -> AsyncIterator[AwsClients]:
    clients = aws_clients()
    yield clients
    await clients.close()


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def prefix() -> str:
    return new_prefix()


def source(clients: AwsClients, *selectors: Selector) -> SecretsManagerSource:
    return SecretsManagerSource(selectors, PROVIDERS, b"f", clients)


def secrets(snapshot: SourceSnapshot) -> dict[str, str]:
    assert snapshot.faults == ()
    return {key.key_id: key.secret.reveal() for key in snapshot.keys}


async def test_a_rotation_is_in_the_next_reading_with_what_it_replaced(
    clients: AwsClients, vault: Vault, prefix: str
) -> None:
    name = f"{prefix}openai"
    vault.put(name, "sk-1")
    reading = source(clients, Selector(name=name))
    assert (await reading.load()).previous == ()
    vault.put(name, "sk-2")
    snapshot = await reading.load()
    assert secrets(snapshot) == {"openai/default": "sk-2"}
    assert [key.secret.reveal() for key in snapshot.previous] == ["sk-1"]
    vault.roll_back(name)
    snapshot = await reading.load()
    assert secrets(snapshot) == {"openai/default": "sk-1"}
    assert [key.secret.reveal() for key in snapshot.previous] == ["sk-2"]


async def test_names_prefixes_and_tags_select_together(
    clients: AwsClients, vault: Vault, prefix: str
) -> None:
    tag = prefix.strip("/")
    vault.put(f"{prefix}openai", "sk-1")
    vault.put(f"x{prefix}tagged", "sk-2", use=tag)
    vault.put(f"x{prefix}other", "sk-3", use=f"{tag}-other")
    vault.put(f"y{prefix}all", json.dumps({"anthropic": ["sk-4", "sk-5"]}))
    reading = source(
        clients,
        Selector(prefix=prefix),
        Selector(tag=f"use={tag}", provider="openai"),
        Selector(name=f"y{prefix}all"),
    )
    found = secrets(await reading.load())
    assert set(found.values()) == {"sk-1", "sk-2", "sk-4", "sk-5"}
    assert {key_id for key_id in found if key_id.startswith("openai")} == {
        "openai/default",
        "openai/tagged",
    }
    vault.untag(f"x{prefix}tagged", "use")
    assert "sk-2" in secrets(await reading.load()).values()
    assert "sk-2" not in secrets(await reading.load()).values()


async def test_a_hundred_and_fifty_secrets_are_listed_and_read_whole(
    clients: AwsClients, vault: Vault, prefix: str
) -> None:
    for number in range(150):
        vault.put(f"{prefix}{number:03}", f"sk-{number}")
    snapshot = await source(clients, Selector(prefix=prefix, provider="openai")).load()
    assert len(secrets(snapshot)) == 150


async def test_a_secret_without_a_value_and_a_binary_one_spoil_no_other(
    clients: AwsClients, vault: Vault, prefix: str
) -> None:
    vault.put(f"{prefix}openai", "sk-1")
    vault.put_binary(f"{prefix}anthropic", b"sk-2")
    reading = source(clients, Selector(prefix=prefix), Selector(name=f"{prefix}nowhere"))
    snapshot = await reading.load()
    assert [key.key_id for key in snapshot.keys] == ["openai/default"]
    assert [(fault.place, fault.message) for fault in snapshot.faults] == [
        (f"{prefix}nowhere", "there is no such secret, or it has no value"),
        (f"{prefix}anthropic", "is binary: keep keys as text, in SecretString"),
    ]


async def test_a_closed_client_is_a_source_that_is_unavailable(vault: Vault, prefix: str) -> None:
    vault.put(f"{prefix}openai", "sk-1")
    clients = aws_clients()
    reading = source(clients, Selector(prefix=prefix))
    await reading.load()
    await clients.close()
    with pytest.raises(SourceUnavailableError, match="the broker is stopping"):
        await reading.load()


async def test_without_a_region_or_credentials_it_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clients = AwsClients()
    reading = source(clients, Selector(prefix=prefix))
    with pytest.raises(SourceUnavailableError, match="AWS has no region: set AWS_REGION"):
        await reading.load()
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(SourceUnavailableError, match="there are no AWS credentials"):
        await reading.load()
    await clients.close()


async def test_the_whole_set_up_comes_from_boto3_s_own_variables(
    monkeypatch: pytest.MonkeyPatch, vault: Vault, prefix: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws_url())
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    vault.put(f"{prefix}openai", "sk-1")
    clients = AwsClients()
    snapshot = await source(clients, Selector(prefix=prefix)).load()
    assert secrets(snapshot) == {"openai/default": "sk-1"}
    await clients.close()
