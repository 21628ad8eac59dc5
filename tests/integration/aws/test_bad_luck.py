"""Secrets Manager throttles, fails, hangs, lies or is gone: how long it takes, and what is told."""

import logging
import time
from collections.abc import AsyncIterator, Mapping

import pytest

from broker.adapters.aws import AwsClients, SecretsManagerSource, Selector
from broker.core.key import Key
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot
from tests.aws import ACCESS, HASTE, Vault, aws_url, new_prefix
from tests.integration.aws.proxy import FaultProxy, Mishap, Refused, fault_proxy

CANARY = "sk-canary-0123456789"
PROVIDERS = ("openai", "anthropic")

EACH: Mapping[Mishap | Refused, str] = {
    Refused("ThrottlingException"): "AWS throttles the calls",
    Refused("InternalServiceError", 500, CANARY): "AWS failed",
    Refused("ServiceUnavailable", 503): "AWS failed",
    Refused("ExpiredTokenException", 400, CANARY): "does not accept the credentials (ExpiredTok",
    Refused("InvalidParameterException", 400, CANARY): "AWS refused the call (InvalidParameterEx",
    Refused(CANARY + "!", 400, CANARY): "AWS failed",
    Mishap.SLOW: "AWS did not answer in time",
    Mishap.RESET: "AWS cannot be reached",
    Mishap.TRUNCATED: "AWS gave an answer that cannot be read",
    Mishap.NO_JSON: "AWS gave an answer that cannot be read",
    Mishap.WEIRD_JSON: "AWS gave an answer that cannot be read",
    Mishap.HTML: "AWS gave an answer that cannot be read",
}
"""What may go wrong, and what is told of it."""


class Rig:
    """A source behind a proxy, with two secrets below its prefix."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy, self.vault, self.prefix = proxy, Vault(), new_prefix()
        self.clients = AwsClients(HASTE, endpoint_url=proxy.url, **ACCESS)
        self.openai, self.anthropic = f"{self.prefix}openai", f"{self.prefix}anthropic"
        self.vault.put(self.openai, CANARY)
        self.vault.put(self.anthropic, f"{CANARY}-a")
        self.source = self.source_of(Selector(prefix=self.prefix))

    def source_of(self, *selectors: Selector) -> SecretsManagerSource:
        return SecretsManagerSource(selectors, PROVIDERS, b"f", self.clients, load_s=4.0)

    async def failure(self) -> str:
        """Why the source is unavailable; it may take no longer than it promises."""
        began = time.monotonic()
        with pytest.raises(SourceUnavailableError) as caught:
            await self.source.load()
        assert time.monotonic() - began < 4.5
        assert "canary" not in f"{caught.value!r} {caught.value.__cause__}"
        return str(caught.value)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with fault_proxy(aws_url()) as proxy:
        rig = Rig(proxy)
        yield rig
        await rig.clients.close()
        rig.vault.close()


def secrets(snapshot: SourceSnapshot) -> dict[str, str]:
    return {key.key_id: key.secret.reveal() for key in snapshot.keys}


def ids(keys: tuple[Key, ...]) -> set[str]:
    return {key.key_id for key in keys}


@pytest.mark.parametrize("mishap", EACH, ids=str)
async def test_when_every_call_fails_the_source_is_unavailable_and_heals_with_the_next_reading(
    rig: Rig, mishap: Mishap | Refused
) -> None:
    before = await rig.source.load()
    rig.proxy.mishaps["*"] = mishap
    told = await rig.failure()
    assert EACH[mishap] in told
    assert told.endswith("what was read stays in use")
    rig.proxy.mishaps.clear()
    assert await rig.source.load() == before
    rig.vault.put(rig.openai, "sk-new")
    assert secrets(await rig.source.load())["openai/default"] == "sk-new"


@pytest.mark.parametrize("mishap", EACH, ids=str)
async def test_when_no_secret_can_be_listed_those_that_are_known_are_read_on(
    rig: Rig, mishap: Mishap | Refused
) -> None:
    before = await rig.source.load()
    rig.proxy.mishaps["ListSecrets"] = mishap
    rig.vault.put(rig.openai, "sk-new")
    snapshot = await rig.source.load()
    assert secrets(snapshot)["openai/default"] == "sk-new"
    assert ids(snapshot.keys) == ids(before.keys)
    (fault,) = snapshot.faults
    assert fault.place == f"{rig.prefix}*"
    assert EACH[mishap] in fault.message
    assert "canary" not in fault.message
    rig.proxy.mishaps.clear()
    assert (await rig.source.load()).faults == ()


async def test_a_call_that_drips_ends_with_the_reading(rig: Rig) -> None:
    rig.proxy.mishaps["*"] = Mishap.DRIPS
    assert "AWS did not answer within 4 s" in await rig.failure()
    rig.proxy.mishaps.clear()
    assert len((await rig.source.load()).keys) == 2


async def test_a_throttled_call_is_made_once_more_and_no_oftener(rig: Rig) -> None:
    rig.proxy.mishaps["*"] = Refused("ThrottlingException")
    await rig.failure()
    assert rig.proxy.calls == {"ListSecrets": 2}


async def test_a_secret_that_may_not_be_read_is_a_fault_beside_others(rig: Rig) -> None:
    await rig.source.load()
    rig.vault.mark_for_deletion(rig.openai)
    named = rig.source_of(*(Selector(name=name) for name in (rig.openai, rig.anthropic)))
    snapshot = await named.load()
    assert ids(snapshot.keys) == {"anthropic/default"}
    assert [(fault.place, fault.message) for fault in snapshot.faults] == [
        (rig.openai, "is marked for deletion")
    ]
    rig.vault.restore(rig.openai)
    assert ids((await named.load()).keys) == {"openai/default", "anthropic/default"}


async def test_without_the_permission_for_batches_each_secret_is_read_by_itself(rig: Rig) -> None:
    rig.proxy.mishaps["BatchGetSecretValue"] = Refused("AccessDeniedException", 400, CANARY)
    assert len((await rig.source.load()).keys) == 2
    assert (await rig.source.load()).faults == ()


async def test_without_any_permission_it_is_told_which_to_grant(rig: Rig) -> None:
    rig.proxy.mishaps["*"] = Refused("AccessDeniedException", 400, f"{CANARY} is not allowed")
    assert "may not be listed: grant secretsmanager:ListSecrets" in await rig.failure()
    rig.source = rig.source_of(Selector(name=rig.openai))
    assert "grant secretsmanager:GetSecretValue" in await rig.failure()
    rig.proxy.mishaps["*"] = Refused("AccessDeniedException", 400, "Access to KMS is not allowed")
    assert "grant kms:Decrypt" in await rig.failure()


async def test_nothing_that_a_secret_says_is_logged_at_any_level(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rig.vault.put(rig.openai, f'{{"secret": "{CANARY}", "weight": "{CANARY}"}}')
    await rig.source.load()
    for mishap in EACH:
        rig.proxy.mishaps["BatchGetSecretValue"] = mishap
        try:
            told = repr(await rig.source.load())
        except SourceUnavailableError as error:
            told = f"{error!r}"
        assert "canary" not in told
    assert "canary" not in caplog.text
    assert "arn:aws" not in caplog.text
