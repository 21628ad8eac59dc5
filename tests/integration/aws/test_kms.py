"""KMS by real HTTP, behind a proxy that plays mishaps: no secret is blamed, and it heals."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from broker.adapters.aws import AwsClients, KmsKeyWrapper
from broker.adapters.seal import AesSealer, SealingKeyring, load_sealer
from broker.core.sealed import Binding
from broker.core.secret import Secret
from broker.ports.errors import SealBrokenError, SealUnavailableError
from tests.aws import ACCESS, HASTE, aws_url
from tests.integration.aws.proxy import FaultProxy, Mishap, Refused, fault_proxy

HERE = Binding("acme", "openai", "acme/1", "aa")
SECRET = Secret("sk-canary-0123456789")
NOW_S = 2.5
"""What hangs is given up twice after half a second here, with the wait between."""

EACH = {
    Refused("ThrottlingException"): "AWS throttles the calls",
    Refused("KMSInternalException", 500): "AWS failed",
    Refused("AccessDeniedException"): "grant this broker kms:Encrypt and kms:Decrypt",
    Refused("DisabledException"): "it is disabled: enable it",
    Refused("KMSInvalidStateException"): "about to be deleted",
    Refused("NotFoundException"): "there is no such key",
    Refused("UnrecognizedClientException"): "does not accept the credentials",
    Mishap.SLOW: "AWS did not answer in time",
    Mishap.RESET: "AWS cannot be reached",
    Mishap.NO_JSON: "AWS gave an answer that cannot be read",
}


def new_key() -> str:
    make: Any = boto3.session.Session().client
    client = make("kms", endpoint_url=aws_url(), **ACCESS)
    try:
        return str(client.create_key()["KeyMetadata"]["Arn"])
    finally:
        client.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async with fault_proxy(aws_url()) as proxy:
        yield proxy


@pytest.fixture
async def clients(proxy: FaultProxy) -> AsyncIterator[AwsClients]:
    clients = AwsClients(HASTE, endpoint_url=proxy.url, **ACCESS)
    yield clients
    await clients.close()


async def test_what_kms_wraps_opens_in_its_place_alone(clients: AwsClients) -> None:
    sealer = AesSealer(KmsKeyWrapper(new_key(), clients))
    sealed = await sealer.seal(SECRET, HERE)
    assert sealed.sealed_by.startswith("kms/")
    assert await sealer.open(sealed, HERE) == SECRET
    with pytest.raises(SealBrokenError):
        await sealer.open(sealed, replace(HERE, tenant="mallory"))
    spoilt = sealed.wrapped_key[:-1] + bytes([sealed.wrapped_key[-1] ^ 1])
    with pytest.raises(SealBrokenError):
        await sealer.open(replace(sealed, wrapped_key=spoilt), HERE)
    assert sealer.fault == ""


async def test_another_key_of_kms_opens_nothing(clients: AwsClients) -> None:
    here, there = (AesSealer(KmsKeyWrapper(new_key(), clients)) for _ in range(2))
    sealed = await here.seal(SECRET, HERE)
    with pytest.raises(SealBrokenError):
        await there.open(sealed, HERE)
    with pytest.raises(SealBrokenError):
        await there.open(replace(sealed, sealed_by=there.current), HERE)


@pytest.mark.parametrize("mishap", EACH, ids=str)
async def test_whatever_goes_wrong_is_for_now_is_told_in_time_and_heals(
    proxy: FaultProxy, clients: AwsClients, mishap: Mishap | Refused
) -> None:
    keyring = await load_sealer(None, frozenset(), services=[KmsKeyWrapper(new_key(), clients)])
    sealed = await keyring.seal(SECRET, HERE)
    proxy.mishaps["*"] = mishap
    for call in (keyring.open(sealed, HERE), keyring.seal(SECRET, HERE)):
        began = time.monotonic()
        with pytest.raises(SealUnavailableError, match=EACH[mishap]):
            await call
        assert time.monotonic() - began < NOW_S
    assert EACH[mishap] in keyring.fault
    proxy.mishaps.clear()
    assert await keyring.open(sealed, HERE) == SECRET
    assert keyring.fault == ""


async def test_where_kms_is_away_at_the_start_it_is_asked_until_it_answers(
    proxy: FaultProxy, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.adapters.seal.keyring.ASK_AGAIN_S", 0.1)
    arn = new_key()
    key = KmsKeyWrapper(arn, clients)
    sealed = await AesSealer(key).seal(SECRET, HERE)
    proxy.mishaps["*"] = Mishap.RESET
    away = KmsKeyWrapper(arn, clients)
    began = time.monotonic()
    keyring = await load_sealer(None, frozenset({key.key_id}), services=[away], may_make=False)
    assert time.monotonic() - began < 3.0
    assert "AWS cannot be reached" in keyring.fault
    assert keyring.ids == frozenset()
    with pytest.raises(SealUnavailableError):
        await keyring.open(sealed, HERE)
    proxy.mishaps.clear()
    await healed(keyring)
    assert keyring.ids == {key.key_id}
    assert await keyring.open(sealed, HERE) == SECRET


async def healed(keyring: SealingKeyring) -> None:
    async with asyncio.timeout(5.0):
        while keyring.fault:
            await keyring.refresh()
            await asyncio.sleep(0.05)
