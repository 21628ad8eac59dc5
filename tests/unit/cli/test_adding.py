"""Adding a key: what is sent, and that a repeat makes no second one."""

import time
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from broker.cli.exits import Exit
from broker.cli.keys import adding
from keybroker.v1 import admin_pb2, key_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import SECRET, a_key
from tests.unit.cli.scripted import Fault, Scripted

ADD = ("keys", "add", "--tenant", "acme", "--provider", "openai")
LOST = Fault(grpc.StatusCode.UNAVAILABLE, "Socket closed")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "RETRIES", (0.0, 0.0))


def a_fresh_key(key_id: str, **given: object) -> key_pb2.Key:
    """A key of acme that was made just now."""
    made = {"owner": "acme", "create_time": Timestamp(seconds=int(time.time()))}
    return a_key(key_id, **(made | given))


def created(request: Any) -> admin_pb2.CreateKeyResponse:
    return admin_pb2.CreateKeyResponse(key=a_key(request.key_id, owner=request.tenant_id))


def test_a_key_is_added_with_a_secret_from_standard_input_and_an_id_made_here(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("CreateKey", created)
    result = keybroker(*ADD, stdin=f"{SECRET}\n")
    assert result.code == Exit.OK
    assert SECRET not in result.out + result.err
    [request] = broker.requests("CreateKey")
    assert request.secret.plaintext == SECRET
    assert request.key_id.startswith("openai-")
    assert f"Added {request.key_id}" in result.out


def test_a_key_is_added_with_everything_that_can_be_set(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("CreateKey", created)
    result = keybroker(
        *(*ADD, "--key-id", "acme-1", "--weight", "2.5", "--priority", "-1"),
        *("--model", "gpt-4o*", "--model", "fast=gpt-4o-mini", "--concurrency", "20"),
        *("--requests-per-minute", "60", "--tokens-per-minute", "5000000000"),
        *("--account", "main", "--expires-at", "2030-01-31", "--base-url", "https://eu.example/v1"),
        *("--format", "json"),
        stdin=SECRET,
    )
    assert result.json["key_id"] == "acme-1"
    [request] = broker.requests("CreateKey")
    settings = request.settings
    assert (settings.weight, settings.priority, settings.account) == (2.5, -1, "main")
    assert dict(settings.models) == {"gpt-4o*": "", "fast": "gpt-4o-mini"}
    assert (settings.limits.concurrency, settings.limits.requests_per_minute) == (20, 60)
    assert settings.limits.tokens_per_minute == 5_000_000_000
    assert settings.expire_time.ToJsonString() == "2030-01-31T00:00:00Z"
    assert settings.base_url == "https://eu.example/v1"


def test_a_lost_answer_is_asked_for_again_and_makes_no_second_key(
    keybroker: Keybroker, broker: Scripted
) -> None:
    exists = Fault(
        grpc.StatusCode.ALREADY_EXISTS, "it is there", "KEY_EXISTS", {"key_id": "acme-1"}
    )
    broker.on("CreateKey", LOST, exists)
    broker.on(
        "GetKey",
        lambda request: admin_pb2.GetKeyResponse(key=a_fresh_key(request.key_id)),
    )
    result = keybroker(*ADD, stdin=SECRET)
    assert result.code == Exit.OK
    first, second = broker.requests("CreateKey")
    assert first == second
    assert f"Added {first.key_id}" in result.out


def test_a_lost_answer_is_also_behind_a_duplicate_of_the_key_itself(
    keybroker: Keybroker, broker: Scripted
) -> None:
    duplicate = Fault(
        grpc.StatusCode.ALREADY_EXISTS, "same", "KEY_DUPLICATE", {"duplicate_of": "acme-1"}
    )
    broker.on("CreateKey", LOST, duplicate)
    broker.on("GetKey", admin_pb2.GetKeyResponse(key=a_fresh_key("acme-1")))
    assert keybroker(*ADD, "--key-id", "acme-1", stdin=SECRET).code == Exit.OK
    assert keybroker(*ADD, "--key-id", "acme-2", stdin=SECRET).code == Exit.REFUSED


def test_an_id_that_was_taken_before_is_refused(keybroker: Keybroker, broker: Scripted) -> None:
    """Also where an answer was lost: the key of this id is another's, or an older one."""
    exists = Fault(
        grpc.StatusCode.ALREADY_EXISTS, "it is there", "KEY_EXISTS", {"key_id": "acme-1"}
    )
    broker.on("CreateKey", exists)
    result = keybroker(*ADD, "--key-id", "acme-1", stdin=SECRET)
    assert result.code == Exit.REFUSED
    assert "keybroker keys show" in result.err
    older = Timestamp(seconds=int(time.time()) - 3600)
    for key in (
        a_fresh_key("acme-1", owner="somebody"),
        a_fresh_key("acme-1", provider="groq"),
        a_fresh_key("acme-1", create_time=older),
    ):
        broker.on("CreateKey", LOST, exists)
        broker.on("GetKey", admin_pb2.GetKeyResponse(key=key))
        result = keybroker(*ADD, "--key-id", "acme-1", stdin=SECRET)
        assert result.code == Exit.REFUSED
        assert "older key 'acme-1'" in result.err


def test_when_all_answers_are_lost_the_id_makes_a_repeat_safe(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("CreateKey", LOST)
    result = keybroker(*ADD, stdin=SECRET)
    assert result.code == Exit.UNREACHABLE
    key_id = broker.requests("CreateKey")[0].key_id
    assert len(broker.requests("CreateKey")) == 3
    assert f"--key-id {key_id}" in result.err.splitlines()[-1]


@pytest.mark.parametrize("reason", ["STORE_UNAVAILABLE", "SEALED", "PROVIDER_UNKNOWN"])
def test_what_the_broker_explained_is_not_tried_again(
    keybroker: Keybroker, broker: Scripted, reason: str
) -> None:
    broker.on("CreateKey", Fault(grpc.StatusCode.UNAVAILABLE, "the disk is full", reason))
    result = keybroker(*ADD, stdin=SECRET)
    assert result.code in {Exit.STORE, Exit.NOT_FOUND}
    assert len(broker.requests("CreateKey")) == 1
