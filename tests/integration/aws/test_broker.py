"""The broker, and the commands that check it, with keys from Secrets Manager."""

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest
import structlog

from broker.adapters.structlog import configure_logging
from broker.app import build
from broker.app.checking import Checking
from broker.cli.main import run
from broker.config import Settings, SettingsError, load_settings
from broker.config.stores import SecretSetting
from tests.aws import REGION, Vault, aws_url, new_prefix
from tests.fakes import FakeProber

CANARY = "canary-0123456789"


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch) -> str:
    """Where this test's secrets are, for a process that has a role in AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url())
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    return new_prefix()


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def settings_of(*selectors: SecretSetting) -> Settings:
    return Settings(
        database="memory",
        grpc_listen="127.0.0.1:0",
        http_listen="",
        env_file=os.devnull,  # type: ignore[arg-type]
        secrets_manager=selectors,
    )


@pytest.mark.usefixtures("_logging_as_before")
async def test_a_broker_starts_on_secrets_follows_them_and_logs_none_of_them(prefix: str) -> None:
    output = io.StringIO()
    configure_logging("debug", stream=output)
    vault = Vault()
    vault.put(f"{prefix}openai", json.dumps({"secret": f"{CANARY}-1", "weight": 2}))
    settings = settings_of(SecretSetting(prefix=prefix))
    app = await build(settings, environ={}, prober=FakeProber())
    await app.start()
    try:
        (key,) = app.core.keyring.keys("openai")
        assert (key.key_id, key.secret.reveal(), key.weight) == ("openai/default", CANARY + "-1", 2)
        vault.put(f"{prefix}anthropic", f"{CANARY}-2")
        await app.core.refreshing.refresh()
        (key,) = app.core.keyring.keys("anthropic")
        assert key.secret.reveal() == f"{CANARY}-2"
    finally:
        await app.stop()
    assert "serving" in output.getvalue()
    assert "canary" not in output.getvalue()


async def test_the_checks_read_it_once_and_tell_its_faults(prefix: str) -> None:
    vault = Vault()
    vault.put(f"{prefix}openai", f"{CANARY}-1")
    vault.put(f"{prefix}anthropic", f'{{"secret": "{CANARY}')
    checking = Checking(settings_of(SecretSetting(prefix=prefix)), {}, prober=FakeProber())
    reading = await checking.read()
    assert [key.key_id for key in reading.keys] == ["openai/default"]
    (fault,) = reading.faults
    assert fault.place == f"{prefix}anthropic"
    assert fault.message.startswith("is not JSON: look at line 1")
    assert [checked.key.key_id async for checked in checking.probe(reading.keys)] == [
        "openai/default"
    ]
    await checking.close()


def test_the_command_that_checks_the_configuration_reads_it_too(
    prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEYBROKER_SECRETS_MANAGER", f"{prefix}*")
    monkeypatch.setenv("KEYBROKER_ENV_FILE", os.devnull)
    monkeypatch.setenv("KEYBROKER_DATABASE", "memory")
    monkeypatch.delenv("KEYBROKER_CORPUS", raising=False)  # the tests' own
    Vault().put(f"{prefix}openai", f"{CANARY}-1")
    assert run(["config", "check", "--format", "json"]) == 0
    assert "openai/default" in json.loads(capsys.readouterr().out)["keys"]
    monkeypatch.setenv("KEYBROKER_SECRETS_MANAGER", f"{prefix}nowhere")
    assert run(["config", "check"]) == 2
    assert "there is no such secret" in capsys.readouterr().err


def test_a_selector_of_a_provider_that_nobody_knows_is_a_fault_of_the_settings() -> None:
    chosen = '[{"prefix": "kb/", "provider": "opnai"}]'
    with pytest.raises(SettingsError) as caught:
        load_settings({"KEYBROKER_ENV_FILE": os.devnull, "KEYBROKER_SECRETS_MANAGER": chosen})
    (fault,) = caught.value.faults
    assert fault.startswith("KEYBROKER_SECRETS_MANAGER[0].provider: no such provider; use one of")
